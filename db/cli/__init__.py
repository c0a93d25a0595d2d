"""Verbs of the hub."""
