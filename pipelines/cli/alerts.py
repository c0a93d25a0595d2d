"""`hven alerts`: the archive of Alerts, streams and their sending, and packets of others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from db.cli.output import as_json, ask, in_database, show


@click.group()
def alerts() -> None:
    """Look at Alerts, fetch and send them, and filter them into streams."""


in_store = click.option("--store", type=click.Path(path_type=Path),
                        help="Root of the file store. Default $HVEN_HOME/files.")


@contextmanager
def _session(database: str) -> Iterator:
    from contextlib import closing

    from db.connect import connect

    with closing(connect(database)) as session:
        yield session


def _files(store: Path | None):
    from db.files import FileStore
    from db.settings import hven_home

    return FileStore(store or hven_home() / "files")


@alerts.command("list")
@in_database
@click.option("--stream", default="full", show_default=True, help="A stream.")
@click.option("--visit", "visit_id", type=int, help="Of one Visit.")
@click.option("--object", "object_id", type=int, help="Of one Object.")
@click.option("--cone", nargs=3, type=float, metavar="RA DEC RADIUS", help="Within RADIUS arcsec of a place [deg].")
@click.option("--since", type=float, help="Observed since this TAI as MJD.")
@click.option("--until", type=float, help="Observed before this TAI as MJD.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@as_json
def list_alerts(database: str, cone: tuple | None, as_json: bool, **wanted) -> None:
    """List Alerts, the latest first."""
    ra, dec, radius = cone or (None, None, None)
    show(ask(database, "alerts", "list", wanted | {"ra": ra, "dec": dec, "radius": radius}), as_json)


@alerts.command()
@click.argument("what")
@in_database
@in_store
@click.option("--encoding", type=click.Choice(["voevent", "avro"]), default="voevent", show_default=True,
              help="Of the packets.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the packets. Default stdout.")
def get(what: str, database: str, store: Path | None, encoding: str, output: Path | None) -> None:
    """Write archived packets by IVORN, DiaSource, Object, MovingObject or Visit; all versions of an Alert."""
    from pipelines.alerts import archive

    with _session(database) as session:
        packets = archive.get(session, _files(store), int(what) if what.isdigit() else what, encoding)
    if output is None:
        for packet in packets:
            sys.stdout.buffer.write(packet)
        return
    output.mkdir(parents=True, exist_ok=True)
    ending = {"voevent": "xml", "avro": "avro"}[encoding]
    for number, packet in enumerate(packets, 1):
        (output / f"{number:06d}.{ending}").write_bytes(packet)
    click.echo(f"{len(packets)} files in {output}")


@alerts.command()
@click.argument("stream")
@click.argument("target")
@in_database
@in_store
@click.option("--after", default=0, show_default=True, help="Place after which to begin.")
@click.option("--limit", default=1_000_000, show_default=True, help="At most so many.")
def replay(stream: str, target: str, database: str, store: Path | None, after: int, limit: int) -> None:
    """Send archived packets of a STREAM again, to TARGET: vtp://HOST:PORT or file:///FOLDER."""
    from db.queries import queries
    from pipelines.alerts.delivery import check_target, deliver

    check_target(target)
    files, count = _files(store), 0
    with _session(database) as session, session.cursor() as cursor:
        cursor.execute(queries("alerts")["read"], {"stream": stream, "after": after, "limit": limit})
        for place, ivorn, offset, length, sha256 in cursor:
            deliver(target, files.part(bytes(sha256), offset, length), ivorn)
            count, after = count + 1, place
    click.echo(f"{count} sent; the last has place {after}")


@alerts.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def read(files: tuple[Path, ...], as_json: bool) -> None:
    """Read packets of whatever survey: VOEvents, Avro files, tar archives of these."""
    from dataclasses import asdict

    from pipelines.alerts import foreign
    faults, found = [], []
    for path in files:
        try:
            found += [asdict(one) for one in foreign.read(path)]
        except foreign.PacketError as error:
            faults.append(error)
    if found:
        show((list(found[0]), [tuple(one.values()) for one in found]), as_json)
    for fault in faults[:-1]:
        click.echo(f"hven: {fault}", err=True)
    if faults:
        raise faults[-1]


@alerts.command()
@in_database
@in_store
@click.option("--until-idle", is_flag=True, help="End when nothing is left to be done now.")
def send(database: str, store: Path | None, until_idle: bool) -> None:
    """Archive waiting Alerts, filter them into streams, and send these; goes on until it is stopped."""
    import logging

    from pipelines.alerts.sender import Sender
    from pipelines.worker import install_stop

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    stop = install_stop()
    Sender(database, _files(store)).run(until_idle=until_idle, stopped=lambda: stop.asked)


@alerts.command()
@in_database
@click.option("--since", default=0.0, help="Of Visits observed since this TAI as MJD.")
@as_json
def latency(database: str, since: float, as_json: bool) -> None:
    """Show the seconds from the close of the shutter to selection and to sending: median and 98th percentile."""
    show(ask(database, "alerts", "latency", {"since": since}), as_json)


@alerts.group("filter")
def filters() -> None:
    """Register streams by predicates over the columns of alert_wide."""


@filters.command("add")
@click.argument("name")
@click.argument("predicate")
@in_database
@click.option("--to", "target",
              help="Where to send it: vtp://HOST:PORT or file:///FOLDER. Default: it is fetched over HTTP.")
def add_filter(name: str, predicate: str, database: str, target: str | None) -> None:
    """Register the stream NAME of the Alerts for which PREDICATE, an SQL expression, is true."""
    from pipelines.alerts import streams

    with _session(database) as session:
        streams.register(session, name, predicate, target)
    click.echo(f"stream {name} begins with the next Alert")


@filters.command("list")
@in_database
@as_json
def list_filters(database: str, as_json: bool) -> None:
    """List the streams, why one was stopped, and what waits in each."""
    show(ask(database, "alerts", "all_streams", {}), as_json)


@filters.command("drop")
@click.argument("name")
@in_database
def drop_filter(name: str, database: str) -> None:
    """End a stream and forget what it carried; the archive keeps the packets."""
    if not ask(database, "alerts", "drop", {"name": name}, commit=True)[1][0][0]:
        raise click.ClickException(f"no stream {name} is yours; `hven alerts filter list` shows what there is")


@filters.command("resume")
@click.argument("name")
@in_database
def resume_filter(name: str, database: str) -> None:
    """Let a stopped stream go on where it was, and its dead Alerts be sent again."""
    resumed = ask(database, "alerts", "resume", {"name": name}, commit=True)[1]
    revived = ask(database, "alerts", "retry", {"stream": name}, commit=True)[1]
    click.echo(f"{name}: {len(resumed)} stream resumed, {len(revived)} dead Alerts wait again")
