"""Verbs of the pipelines."""
