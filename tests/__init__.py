"""Tests, and the verb that runs them."""

commands: dict[str, str] = {"test": "tests.command:test"}
