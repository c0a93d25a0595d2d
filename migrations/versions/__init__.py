"""Revisions, in two branches: `science` for Science Databases and `hub` for the hub."""
