"""`hven get`: a file, an exposure or a cutout, for who has the file store on disk."""

import shutil
import sys
from pathlib import Path

import click


@click.command(context_settings={"ignore_unknown_options": True})  # a declination may begin with a minus
@click.argument("what", nargs=-1, required=True,
                metavar="EXPOSURE | FILE | cutout RA DEC SIZE | stamp DIA_SOURCE")
@click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")
@click.option("--kind", help="Of a cutout: calibrated, the default, or difference. Of a stamp:"
              " difference, the default, difference_1 (of a Snap), science or template.")
@click.option("--band", help="Of the exposure that a cutout comes from. Default any.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write. Default stdout.")
@click.option("--stages", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Draw every stage of the exposure's detector as PNG, from the raw Snaps to the difference.")
@click.option("--store", type=click.Path(path_type=Path), help="Root of the file store. Default $HVEN_HOME/files.")
def get(
    what: tuple[str, ...], database: str, kind: str | None, band: str | None, output: Path | None, stages: Path | None,
    store: Path | None,
) -> None:
    """Write an exposure by its id, a file by its sha256 or name, a stamp, or a square round RA, DEC [deg].

    A calibrated or difference exposure that was deleted is made again, bit for bit, by the software that made it.
    """
    from contextlib import closing

    from db.connect import connect
    from db.files import FileStore
    from db.settings import hven_home
    from pipelines.productions import products

    if stages is None and output is None and sys.stdout.isatty():
        raise click.UsageError("this is a binary file: give --output FILE, or redirect the output")
    files = FileStore(store or hven_home() / "files")
    with closing(connect(database)) as session:
        if stages is not None:
            if len(what) != 1 or not what[0].isdigit():
                raise click.UsageError(f"--stages needs one exposure_id, got {' '.join(what)}")
            click.echo("\n".join(str(path) for path in products.draw(session, files, int(what[0]), stages)))
            return
        if what[0] == "cutout":
            ra, dec, size = _numbers(what[1:])
            chosen = {"kind": kind or "calibrated", "band": band}
            content: bytes | Path = products.cutout(session, files, (ra, dec), size, **chosen)
        elif what[0] == "stamp" and len(what) == 2 and what[1].isdigit():
            content = products.stamp(session, files, int(what[1]), kind or "difference")
        elif len(what) == 1 and what[0].isdigit() and len(what[0]) < 20:
            content = products.find_exposure(session, files, int(what[0]))
        elif len(what) == 1:
            content = products.find_file(session, files, what[0])
        else:
            said = f"got {len(what)} words"
            raise click.UsageError(f"{said}; allowed are EXPOSURE, FILE, cutout RA DEC SIZE, stamp DIA_SOURCE")
    _write(content, output)


def _numbers(words: tuple[str, ...]) -> tuple[float, float, float]:
    try:
        ra, dec, size = map(float, words)
    except ValueError:
        raise click.UsageError(f"cutout needs RA and DEC in deg and SIZE in arcsec, got {' '.join(words)}") from None
    return ra, dec, size


def _write(content: bytes | Path, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(content if isinstance(content, bytes) else content.read_bytes())
    elif isinstance(content, bytes):
        output.write_bytes(content)
    else:
        shutil.copyfile(content, output)
