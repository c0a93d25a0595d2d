"""Level 3: spaces of users, foreign releases, import and export."""

commands: dict[str, str] = {}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
