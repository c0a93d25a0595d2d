"""`hven refcat`: import a catalogue of reference stars."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the catalogue is to be called; what had this name is replaced.")
@click.option("--column", "-c", "columns", multiple=True, required=True, metavar="OURS=THEIRS",
              help="Where ra, dec and, if it has them, pm_ra, pm_dec, ra_err, dec_err, magnitude, magnitude_err are.")
@click.option("--epoch", default=2000.0, show_default=True, help="Julian year of the positions.")
@click.option("--band", required=True, help="Of the magnitudes.")
@click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")
def refcat(file: Path, name: str, columns: tuple[str, ...], epoch: float, band: str, database: str) -> None:
    """Import the reference stars of a FITS, Parquet or CSV file, with proper motions.

    Units that the file gives are converted; numbers without are taken to be deg, mas/yr, arcsec and mag.
    """
    from contextlib import closing

    from db.connect import connect
    from pipelines.productions.refcat import import_catalogue, read_catalogue

    if wrong := [text for text in columns if "=" not in text]:
        raise click.BadParameter(f"got {wrong[0]!r}; allowed is OURS=THEIRS")
    pairs = dict(text.split("=", 1) for text in columns)
    with closing(connect(database)) as connection, connection:
        report = import_catalogue(connection, name, read_catalogue(file), pairs, epoch, band)
    click.echo(f"{name}: {report.rows} reference stars in {database}")
