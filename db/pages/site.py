"""The pages: one a database, one for LDM-151's tables line by line, one for the functions, and the way in."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
from sqlalchemy import Connection, Table, text

from db import schema
from db.databases import Layout
from db.pages import diagram, ldm, live
from db.pages.links import Link, links, primary_key
from db.queries import queries
from db.schema.views import COMPUTED


@dataclass(frozen=True)
class Database:
    """What the pages show of one database.

    Attributes
    ----------
    name : str
        As users know it: hub, level1, release, dr1.
    kind : str
        hub, level1 or release.
    catalogue : str
        Schema of the catalogue.
    revision : str
        Of the schema.
    relations : dict
        As `live.relations` gives them, columns with `unit`, `ucd` and `ldm` of TAP_SCHEMA besides.
    functions : list
        As `live.functions` gives them.
    """

    name: str
    kind: str
    catalogue: str
    revision: str
    relations: dict[str, dict[str, Any]]
    functions: list
    links: list[Link] = field(default_factory=list)

    @property
    def page(self) -> str:
        """File name of the database's page."""
        return f"{self.name}.html"

    def families(self) -> dict[str, list[str]]:
        """Return the tables and views of each family that is here, by title."""
        found: dict[str, list[str]] = {}
        homes = {self._real(table): title for title, module in schema.FAMILIES.items() for table in _tables(module)}
        order = [*homes, *(name for name, facts in self.relations.items() if facts["kind"] == "view")]
        for name in order:
            if name in self.relations:
                found.setdefault(homes.get(name, "Views"), []).append(name)
        return found

    def links_of(self, relation: str) -> list[Link]:
        """Return the links that leave a table."""
        return [link for link in self.links if link.child == relation]

    def _real(self, table: Table) -> str:
        return f"{self.catalogue if table.schema == 'catalogue' else table.schema}.{table.name}"


def _tables(module: ModuleType) -> Iterable[Table]:
    return dict.fromkeys(one for one in vars(module).values() if isinstance(one, Table))


def read(connection: Connection, layout: Layout, name: str) -> Database:
    """Read one database as the pages show it."""
    relations = live.relations(connection, list(layout.schemas().values()))
    for table, column, unit, ucd, line in connection.execute(text(queries("pages")["tap"])):
        relations[table]["columns"][column] |= {"unit": (unit or "").replace("'", ""), "ucd": ucd, "ldm": line}
    revision = connection.execute(text(queries("pages")["revision"])).scalar_one()
    functions = live.functions(connection)
    return Database(name, layout.kind, layout.catalogue, revision, relations, functions, links(relations))


def answers(database: Database) -> dict[str, list[tuple[str, str]]]:
    """Return what answers each line of LDM-151's tables, as text and place on the pages."""
    found: dict[str, list[tuple[str, str]]] = {line.reference: [] for line in ldm.lines()}
    for name, facts in database.relations.items():
        schema_, short = name.split(".")
        if schema_ != database.catalogue:
            continue
        own = {one.name for one in COMPUTED.get(short, ())} if facts["kind"] == "view" else facts["columns"]
        for column, about in facts["columns"].items():
            if about["ldm"] and column in own:
                found[about["ldm"]].append((f"{short}.{column}", f"{database.page}#{name}.{column}"))
    known = {one.name for one in database.functions}
    for reference, names in ldm.FUNCTIONS.items():
        found[reference] += [(f"hven.{one}()", f"functions.html#{one}") for one in names if one in known]
    return found


def unanswered(database: Database) -> list[str]:
    """Return, one sentence each, the lines of LDM-151's tables that nothing answers."""
    return [f"LDM-151 {reference}: nothing answers it" for reference, by in answers(database).items() if not by]


def write(out: Path, databases: list[Database]) -> list[Path]:
    """Write all pages into a folder and return them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"databases": databases, "primary_key": primary_key}
    science = [one for one in databases if one.kind != "hub"]
    pages: dict[str, tuple[str, dict[str, Any]]] = {
        one.page: ("database.html", {"database": one, "drawing": _drawing(one)}) for one in databases
    }
    if science:
        told = {"tables": ldm.tables(), "answers": answers(science[0]), "told": science[0], "decisions": ldm.DECISIONS}
        pages["ldm-151.html"] = ("ldm.html", told)
    pages["functions.html"] = ("functions.html", {"functions": _functions(databases)})
    pages["index.html"] = ("index.html", {"index": _index(databases)})
    out.mkdir(parents=True, exist_ok=True)
    for name, (template, values) in pages.items():
        (out / name).write_text(environment.get_template(template).render(page=name, **values))
    return [out / name for name in pages]


def _drawing(database: Database):
    if database.kind == "hub":
        return None
    return diagram.draw(database.catalogue, database.relations, database.links, database.families())


def _functions(databases: list[Database]) -> list[tuple[Any, list[str]]]:
    """Return each function with the databases that have it."""
    found: dict[tuple, tuple[Any, list[str]]] = {}
    for database in databases:
        for one in database.functions:
            found.setdefault((one.name, one.arguments), (one, []))[1].append(database.name)
    return [found[name] for name in sorted(found)]


def _index(databases: list[Database]) -> list[tuple[str, str, str]]:
    """Return what the search of the first page looks through: name, place, words."""
    found = []
    for one in databases:
        for name, facts in one.relations.items():
            label = name if name.startswith(f"{one.name}.") else f"{one.name}: {name}"
            found.append((label, f"{one.page}#{name}", facts["comment"]))
            found += [
                (f"{label}.{column}", f"{one.page}#{name}.{column}", f"{about['comment']} {about['ucd']}")
                for column, about in facts["columns"].items()
            ]
    found += [
        (f"hven.{one.name}", f"functions.html#{one.name}", one.comment or "") for one, _ in _functions(databases)
    ]
    return found
