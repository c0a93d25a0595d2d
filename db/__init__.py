"""The hub: what is stored, and nothing that computes. Imports nothing else of ours."""

commands: dict[str, str] = {}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
