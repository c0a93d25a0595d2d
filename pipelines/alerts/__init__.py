"""Alerts on their way out: packets, archive, streams, delivery; and packets of other surveys on their way in."""
