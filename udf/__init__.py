"""What runs inside PostgreSQL: one name is one .py and one .sql, or one .sql alone."""

commands: dict[str, str] = {}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
