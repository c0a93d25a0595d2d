"""The catalogue of queries: one .sql file a topic, one comment line of intent above each query."""

import re
from functools import cache
from pathlib import Path


@cache
def queries(topic: str) -> dict[str, str]:
    """Return the queries of `<topic>.sql` by name; each stands under a line `-- name: intent`."""
    text = (Path(__file__).parent / f"{topic}.sql").read_text()
    parts = re.split(r"^-- (\w+): .*\n", text, flags=re.MULTILINE)
    return {name: query.strip() for name, query in zip(parts[1::2], parts[2::2], strict=True)}
