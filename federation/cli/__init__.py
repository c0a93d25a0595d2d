"""The verbs of Level 3."""
