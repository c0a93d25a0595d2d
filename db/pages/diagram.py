"""The entity diagram: Fig. 2 of LDM-151 as its core, the other families as cards around it, drawn as SVG."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from db.pages.links import Link, primary_key

WIDTH, HEADER, LINE, COLUMN_GAP, ROW_GAP, MARGIN = 208, 30, 17, 40, 92, 12  # pixels

CORE = {
    "object": (1, 0), "moving_object": (3, 0),
    "source": (0, 1), "forced_source": (1, 1), "dia_source": (2, 1), "dia_source_snap": (3, 1),
    "forced_dia_source": (4, 1),
    "exposure": (2, 2),
    "detector": (1, 3), "filter": (2, 3), "visit": (3, 3),
}
"""Table → column and row of the drawing."""
CARDS = {"Objects": (0, 0), "Moving objects": (4, 0), "Coadds": (0, 2), "Alerts": (4, 2), "Quality": (4, 3),
         "Reference catalogues": (0, 3)}
"""Family → place of the card that lists its other tables."""


@dataclass(frozen=True)
class Box:
    """A rectangle of the drawing: a table with its key and links, or a card with the tables of a family."""

    title: str
    tables: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]
    column: int
    row: int
    y: float = 0

    @property
    def x(self) -> float:
        """Left edge."""
        return MARGIN + self.column * (WIDTH + COLUMN_GAP)

    @property
    def height(self) -> float:
        """Height of header and lines."""
        return HEADER + LINE * len(self.lines) + 8


@dataclass(frozen=True)
class Edge:
    """A curve from a box to one that it names rows of."""

    child: Box
    parent: Box
    is_key: bool
    is_faint: bool
    path: str = ""


def draw(schema: str, relations: dict[str, dict[str, Any]], links: list[Link], families: dict[str, list[str]]):
    """Return boxes, edges, width and height of the diagram of a catalogue.

    Parameters
    ----------
    schema : str
        Of the catalogue.
    relations : dict
        As `live.relations` gives them.
    links : list of Link
    families : dict
        Title of a family → its tables, qualified.
    """
    boxes = _stack([*_core(schema, relations, links), *_cards(schema, families)])
    edges = [_curve(edge, edges) for edges in [_edges(boxes, links)] for edge in edges]
    height = max(box.y + box.height for box in boxes) + MARGIN
    return boxes, edges, 2 * MARGIN + 5 * WIDTH + 4 * COLUMN_GAP, height


def _core(schema: str, relations: dict[str, dict[str, Any]], links: list[Link]) -> Iterable[Box]:
    for name, (column, row) in CORE.items():
        facts = relations[f"{schema}.{name}"]
        key = primary_key(facts)
        own = [one for link in links if link.child == f"{schema}.{name}" for one in link.columns]
        own = [one for one in dict.fromkeys(own) if one not in key and one not in ("job_id", "file_id")]
        rest = len(facts["columns"]) - len(key) - len(own)
        lines = [(one, "key") for one in key] + [(one, "link") for one in own] + [(f"{rest} more columns", "rest")]
        yield Box(name, (f"{schema}.{name}",), tuple(lines), column, row)


def _cards(schema: str, families: dict[str, list[str]]) -> Iterable[Box]:
    for title, (column, row) in CARDS.items():
        tables = tuple(one for one in families[title] if one.removeprefix(f"{schema}.") not in CORE)
        yield Box(title, tables, tuple((one.removeprefix(f"{schema}."), one) for one in tables), column, row)


def _stack(boxes: list[Box]) -> list[Box]:
    """Give the boxes their vertical places: rows as high as their highest box, those of the first on one base line."""
    placed, y = [], float(MARGIN)
    for row in sorted({box.row for box in boxes}):
        members = [box for box in boxes if box.row == row]
        height = max(box.height for box in members)
        placed += [replace(box, y=y if row else y + height - box.height) for box in members]
        y += height + ROW_GAP
    return placed


def _edges(boxes: list[Box], links: list[Link]) -> list[Edge]:
    home = {table: box for box in boxes for table in box.tables}
    found: dict[tuple[str, str], Edge] = {}
    for link in links:
        child, parent = home.get(link.child), home.get(link.parent)
        if child and parent and child != parent:
            known = found.get((child.title, parent.title))
            is_key = link.is_key or bool(known and known.is_key)
            found[child.title, parent.title] = Edge(child, parent, is_key, _is_long(child, parent, boxes))
    return list(found.values())


def _is_long(child: Box, parent: Box, boxes: list[Box]) -> bool:
    """Whether the edge would pass behind other boxes: it is drawn only for the box under the pointer."""
    first, last = sorted((child.column, parent.column))
    between = any(box.row == child.row and first < box.column < last for box in boxes)
    return abs(child.row - parent.row) > 1 or (child.row == parent.row and between)


def _curve(edge: Edge, edges: list[Edge]) -> Edge:
    """Lead the edge from port to port, straight up or down where it leaves and where it arrives."""
    child, parent = edge.child, edge.parent
    if child.row == parent.row:
        left, right = sorted((child, parent), key=lambda box: box.x)
        y = max(left.y, right.y) + HEADER / 2
        path = f"M{left.x + WIDTH:.0f},{y:.0f} H{right.x:.0f}"
        return replace(edge, path=path)
    up = parent.row < child.row
    x0, x1 = _port(child, edge, edges), _port(parent, edge, edges)
    y0, y1 = (child.y, parent.y + parent.height) if up else (child.y + child.height, parent.y)
    middle = (y0 + y1) / 2
    return replace(edge, path=f"M{x0:.0f},{y0:.0f} C{x0:.0f},{middle:.0f} {x1:.0f},{middle:.0f} {x1:.0f},{y1:.0f}")


def _port(box: Box, edge: Edge, edges: list[Edge]) -> float:
    """Return where the edge meets the box: those of one side share it evenly, in the order of their other ends."""
    def other(one: Edge) -> Box:
        return one.parent if one.child == box else one.child

    def is_above(one: Edge) -> bool:
        return other(one).row < box.row

    beside = [
        one for one in edges
        if box in (one.child, one.parent) and other(one).row != box.row and is_above(one) == is_above(edge)
    ]
    beside.sort(key=lambda one: (other(one).x, other(one).row))
    place = [id(one) for one in beside].index(id(edge))
    return box.x + WIDTH * (place + 1) / (len(beside) + 1)
