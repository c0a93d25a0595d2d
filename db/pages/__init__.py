"""The schema as pages: what a live database holds, compared with the models, drawn and written as HTML."""
