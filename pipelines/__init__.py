"""What runs outside the database: pixels in, staging rows out."""

commands: dict[str, str] = {}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
