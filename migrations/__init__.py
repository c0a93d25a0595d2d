"""Alembic: how a database comes from one revision of the schema to the next."""
