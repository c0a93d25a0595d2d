"""The only place where steps are ordered, and where they meet the database."""
