"""The catalogue of queries: one .sql file a topic, one comment line of intent above each query."""

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def queries(topic: str, folder: Path = HERE) -> dict[str, str]:
    """Return the queries of `<topic>.sql` by name; each stands under a line `-- name: intent`."""
    return {name: query for name, _, query in _parts(topic, folder)}


def intents(topic: str, folder: Path = HERE) -> dict[str, str]:
    """Return what each query of `<topic>.sql` is for, by its name, in the file's order."""
    return {name: intent for name, intent, _ in _parts(topic, folder)}


@cache
def _parts(topic: str, folder: Path) -> list[tuple[str, str, str]]:
    text = (folder / f"{topic}.sql").read_text()
    parts = re.split(r"^-- (\w+): (.*)\n", text, flags=re.MULTILINE)
    thirds = (parts[first::3] for first in (1, 2, 3))
    return [(name, intent, query.strip()) for name, intent, query in zip(*thirds, strict=True)]
