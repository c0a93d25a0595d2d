"""Tests and benchmarks, and the verbs that run them."""

commands: dict[str, str] = {"test": "tests.command:test", "bench": "tests.benchmarks.command:bench"}
