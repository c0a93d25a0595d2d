"""Alembic: how a database comes from one revision of the schema to the next."""

commands: dict[str, str] = {
    "doctor": "migrations.cli:doctor",
    "up": "migrations.cli:up",
    "upgrade": "migrations.cli:upgrade",
}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
