"""Level 3: spaces of users, foreign releases, import and export."""

commands: dict[str, str] = {"level3": "federation.cli.level3:level3"}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
