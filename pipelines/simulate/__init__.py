"""Skies and pixels whose truth is known. Nothing here touches the database."""
