"""`hven serve`: files, exposures and cutouts over HTTP, for users without access to the disk.

Whoever asks says by HTTP Basic which database role they are; the server logs in to the database as that role, so
that the database alone decides what they may see.
"""

import base64
import re
import shutil
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import click

PORT = 8093
ROUTE = re.compile(
    r"/(?P<database>[a-z0-9_]{1,63})/(?:(?P<what>exposure|file|stamp|alerts)/(?P<name>[^/]+)|(?P<cutout>cutout))"
)
TYPES = {"file": "application/octet-stream", "stamp": "application/gzip", "alerts": "application/x-ndjson"}


class Refused(Exception):
    """A request that is answered by a status and a sentence."""

    def __init__(self, status: HTTPStatus, said: str):
        super().__init__(said)
        self.status = status


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen; others need TLS in front.")
@click.option("--port", default=PORT, show_default=True, help="TCP port; 0 takes a free one.")
@click.option("--store", type=click.Path(path_type=Path), help="Root of the file store. Default $HVEN_HOME/files.")
def serve(address: str, port: int, store: Path | None) -> None:
    """Serve /DATABASE/exposure/ID, file/NAME, cutout?ra=…&dec=…&size=…, stamp/ID and alerts/STREAM to database roles.

    DATABASE is level1, dr1 and so on; NAME is a sha256 or the name that a raw file came with; ra and dec are in deg,
    size in arcsec; kind=difference and band=r choose the exposure. A stamp is named by its DiaSource, and kind=template
    chooses. STREAM is full or a filtered one; after=PLACE, limit=N, wait=SECONDS and consumer=NAME say what is wanted.
    """
    from db.settings import hven_home

    server = make_server(address, port, store or hven_home() / "files")
    click.echo(f"http://{address}:{server.server_port}/ serves until Ctrl-C")
    try:
        server.serve_forever()
    finally:
        server.server_close()


def make_server(address: str, port: int, root: Path, *, quiet: bool = False) -> ThreadingHTTPServer:
    """Return the server, listening; each request has a thread of its own, and is told unless quiet."""
    return ThreadingHTTPServer((address, port), partial(Handler, root=root, quiet=quiet))


@dataclass(frozen=True)
class Wanted:
    """A request: a database, and an exposure, a file or a cutout (`what`) with its name or parameters."""

    database: str
    what: str
    name: str
    values: dict[str, str]

    @classmethod
    def parse(cls, target: str) -> "Wanted":
        """Read the target of a request."""
        parts = urlsplit(target)
        route = ROUTE.fullmatch(unquote(parts.path))
        if not route:
            pages = ("exposure/ID", "file/NAME", "cutout", "stamp/ID", "alerts/STREAM")
            known = ", ".join(f"/DATABASE/{page}" for page in pages)
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no such page; allowed are {known}")
        values = {name: given[-1] for name, given in parse_qs(parts.query).items()}
        return cls(route["database"], route["what"] or "cutout", route["name"] or "", values)


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    server_version = "Hven"
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent client keeps its thread

    def __init__(self, *arguments, root: Path, quiet: bool):
        self.root, self.quiet = root, quiet
        super().__init__(*arguments)

    def log_message(self, format: str, *values) -> None:
        """Tell of a request on standard error, as the base class does."""
        if not self.quiet:
            super().log_message(format, *values)

    def do_GET(self) -> None:
        """Send what is asked for, unless the client has gone."""
        with suppress(ConnectionError):
            self._answer()

    def _answer(self) -> None:
        try:
            wanted = Wanted.parse(self.path)
            content = self._content(wanted)
        except Refused as refused:
            self._say(refused.status, str(refused))
            return
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES.get(wanted.what, "application/fits"))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if isinstance(content, bytes):
            self.wfile.write(content)
        else:
            with content.open("rb") as stream:
                shutil.copyfileobj(stream, self.wfile)

    def _content(self, wanted: Wanted) -> bytes | Path:
        import psycopg2

        from db.errors import HvenError
        from pipelines.alerts.archive import NoSuchAlert
        from pipelines.productions.products import NoSuchProduct

        try:
            with closing(self._login(wanted.database)) as session:
                return _find(session, self.root, wanted)
        except (NoSuchProduct, NoSuchAlert) as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from None
        except HvenError as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from None
        except psycopg2.errors.InsufficientPrivilege as error:
            raise Refused(HTTPStatus.FORBIDDEN, str(error).splitlines()[0]) from None
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the database went away; ask again") from None

    def _login(self, database: str):
        """Return a connection as the role that asks; only a role that showed its password gets one.

        The server's own user may enter as administrator without one: that must not pass for a login.
        """
        import psycopg2
        from psycopg2.extensions import make_dsn

        from db import adapt
        from db.connect import dsn

        role, password = self._credentials()
        try:
            target = make_dsn(dsn(database, role), password=password, passfile="/dev/null")
            session = psycopg2.connect(target, application_name="hven serve")
        except psycopg2.OperationalError:
            raise Refused(HTTPStatus.UNAUTHORIZED, f"{role} can't log in to {database} with this password") from None
        if not session.info.used_password:
            session.close()
            raise Refused(HTTPStatus.UNAUTHORIZED, f"{role} logs in without password, which is not for this door")
        adapt.register(session)
        session.set_session(readonly=True)
        return session

    def _credentials(self) -> tuple[str, str]:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        try:
            role, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            role, password = "", ""
        if scheme.lower() != "basic" or not role or not password:
            raise Refused(HTTPStatus.UNAUTHORIZED, "give the name and password of a database role by HTTP Basic")
        return role, password

    def _say(self, status: HTTPStatus, said: str) -> None:
        body = f"{said}\n".encode()
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="Hven", charset="UTF-8"')
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _find(session, root: Path, wanted: Wanted) -> bytes | Path:
    from db.files import FileStore
    from pipelines.productions import products

    store = FileStore(root)
    if wanted.what == "file":
        return products.find_file(session, store, wanted.name)
    if wanted.what == "alerts":
        return _feed(session, store, wanted)
    try:
        if wanted.what == "stamp":
            return products.stamp(session, store, int(wanted.name), wanted.values.get("kind", "difference"))
        if wanted.what == "exposure":
            return products.find_exposure(session, store, int(wanted.name))
        ra, dec, size = (float(wanted.values[name]) for name in ("ra", "dec", "size"))
    except (KeyError, ValueError):
        said = "an exposure and a stamp are numbers; a cutout needs ra and dec in deg and size in arcsec"
        raise Refused(HTTPStatus.BAD_REQUEST, said) from None
    chosen = {"kind": wanted.values.get("kind", "calibrated"), "band": wanted.values.get("band")}
    return products.cutout(session, store, (ra, dec), size, **chosen)


def _feed(session, store, wanted: Wanted) -> bytes:
    from pipelines.alerts.feed import feed

    session.set_session(readonly="consumer" not in wanted.values)  # whose place is kept
    try:
        return feed(session, store, wanted.name, wanted.values)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "after and limit are whole numbers, wait is in seconds") from None
