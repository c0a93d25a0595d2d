"""One correction or measurement = one file. Steps are functions; their order stands in `productions`."""
