"""Sites: where else the same exposures are processed; raw files go there, and the results are compared.

A site is reached by libpq (its hub and databases) and by a path (its file store, mounted here). Products are not
shipped: the other site makes its own, which is what there is to compare (LDM-151, section 2.2).
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn
from psycopg2.extras import NamedTupleCursor

from db.comparison import Difference, Report, differences, parse
from db.connect import HUB, connect
from db.databases import ROOT
from db.errors import HvenError
from db.files import FileStore
from db.queries import queries

INCOMING = "incoming"
"""Folder of a site's file store from which its night takes frames."""

ORDER = "order-{database}.json"
"""Name there of the order in which the Visits of a database were associated here."""
ENTRIES = 100_000  # of that order, the latest: some months

ENVIRONMENT = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "sslmode": "PGSSLMODE",
               "sslrootcert": "PGSSLROOTCERT", "passfile": "PGPASSFILE"}  # fmt: skip


class SiteError(HvenError):
    """A site is unknown, can't be reached, or its answer can't be read."""

    exit_status = 24


@dataclass(frozen=True)
class Site:
    """A site as the hub knows it."""

    name: str
    connection: str
    root: Path

    @property
    def store(self) -> FileStore:
        """Its file store, as it is reached from here."""
        return FileStore(self.root)

    @property
    def incoming(self) -> Path:
        """Where frames arrive for its night to take in."""
        return self.root / INCOMING


@dataclass(frozen=True)
class Sent:
    """A raw file that is at the other site now, and how many bytes had to go there."""

    name: str
    size: int
    sent: int


def add(name: str, connection: str, root: Path) -> None:
    """Tell the hub of a site, or where it has moved.

    Raises
    ------
    SiteError
        `connection` is not of libpq's form, or there is no such folder.
    """
    try:
        parse_dsn(connection)
    except psycopg2.ProgrammingError as error:
        said = f"site: {connection!r} is no connection string ({str(error).strip()})"
        raise SiteError(said, "write host=… port=…") from error
    if not root.is_dir():
        raise SiteError(f"site: there is no folder {root}", "mount the file store of the site, then name it by --root")
    with closing(connect(HUB)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("site")["add"], {"site": name, "connection": connection, "root": str(root)})


def sites() -> list[Site]:
    """Return the other sites that the hub knows."""
    with closing(connect(HUB)) as session, session.cursor() as cursor:
        cursor.execute(queries("site")["others"])
        return [Site(name, connection, Path(root)) for name, connection, root in cursor]


def find(name: str) -> Site:
    """Return a site by its name."""
    known = sites()
    for site in known:
        if site.name == name:
            return site
    names = ", ".join(site.name for site in known) or "none"
    raise SiteError(f"site: {name} is not known, known are {names}", "`hven site add`")


@dataclass(frozen=True)
class Association:
    """A pass of association in the order of a site.

    Parameters
    ----------
    visit_id : int
    number : int
        1, or more for what came late.
    detectors : tuple of int
        Those that the pass was the first to take in; none for a rerun.
    """

    visit_id: int
    number: int
    detectors: tuple[int, ...]


def read_order(path: Path) -> list[Association]:
    """Return the order of associations that another site has sent.

    Raises
    ------
    SiteError
        There is no such file, or it is something else.
    """
    try:
        return [Association(entry["visit_id"], entry["number"], tuple(entry["detectors"]))
                for entry in json.loads(path.read_text())]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = f"site: {path} is no order of associations ({error})"
        raise SiteError(said, "let the other site send it: hven site send") from error


def send(site: Site, store: FileStore, database: str = "level1") -> Iterator[Sent]:
    """Ship the raw files of a database that the site has not got; yield each once it is there, verified.

    What an interruption leaves half shipped is completed by the next call. Last goes the order of associations.
    """
    with closing(connect(database)) as session, session.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(queries("site")["raw_files"])
        for row in cursor.fetchall():
            sha256 = bytes(row.sha256)
            sent = site.store.receive(store.get(sha256), sha256)
            if sent or not (site.incoming / row.name).exists():
                _announce(site, sha256, row.name)
            yield Sent(row.name, row.size, sent)
        cursor.execute(queries("site")["order"], {"entries": ENTRIES})
        _replace(site.incoming / ORDER.format(database=database), json.dumps([row._asdict() for row in cursor]))


def _replace(place: Path, text: str) -> None:
    """Write a file so that readers see the old one or the new one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    part.write_text(text)
    part.replace(place)


def _announce(site: Site, sha256: bytes, name: str) -> None:
    """Lay a file under its own name into the site's folder of arrivals; the content is there once."""
    site.incoming.mkdir(parents=True, exist_ok=True)
    place = site.incoming / name
    place.unlink(missing_ok=True)
    try:
        place.hardlink_to(site.store.get(sha256))
    except OSError:  # a store that knows no hard links
        place.symlink_to(site.store.get(sha256))


def compare(site: Site, database: str = "level1", *, order: int = 3) -> list[Difference]:
    """Return where a database here and the one of the same name at the site differ, to the pixel.

    Raises
    ------
    SiteError
        The site's server can't be reached, or has no such database.
    """
    here = _report(database, order, {})
    words = parse_dsn(site.connection)
    environment = {ENVIRONMENT[word]: value for word, value in words.items() if word in ENVIRONMENT}
    try:
        there = _report(database, order, environment)
    except SiteError as error:
        raise SiteError(f"site: {site.name}: {error.problem}", error.remedy) from error
    return list(differences(here.tables, there.tables))


def _report(database: str, order: int, environment: dict[str, str]) -> Report:
    """Return digests of a database, as another process takes them from the server that the environment names."""
    command = [sys.executable, str(ROOT / "hven"), "checksum", database, "--json", "--order", str(order)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        said = done.stderr.strip().removeprefix("hven: ") or f"status {done.returncode}"
        problem, _, remedy = said.rstrip(".").partition(". Remedy: ")
        raise SiteError(problem, remedy or "look at its server")
    return parse(json.loads(done.stdout))
