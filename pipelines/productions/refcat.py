"""Reference catalogues: from files, or from Tycho-2's index, into `refcat`; and back, at an exposure's epoch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.table import Table
from psycopg2.extensions import connection as Connection

from db.errors import HvenError
from db.load import LoadReport, load
from db.queries import queries
from pipelines.productions.detector import Lookup
from pipelines.productions.rows import healpix29
from pipelines.steps.refcat import TYCHO2_BAND, TYCHO2_EPOCH, NoReference, reference, tycho2

OPTIONAL = ("pm_ra", "pm_dec", "ra_err", "dec_err", "magnitude", "magnitude_err")
J2000_MJD = 51544.5


class RefcatError(HvenError):
    """A reference catalogue can't be imported."""

    exit_status = 65


def read_catalogue(path: Path) -> Table:
    """Return a table from FITS, Parquet or CSV, whichever the name's end says."""
    formats = {".fits": "fits", ".fit": "fits", ".parquet": "parquet", ".csv": "ascii.csv"}
    ending = next((e for e in path.suffixes[::-1] if e in formats), None)
    if ending is None:
        raise RefcatError(
            f"refcat: got {path.name}; allowed endings are {', '.join(formats)}", "convert the file, or rename it"
        )
    if ending == ".parquet":
        from pyarrow import parquet

        columns = parquet.read_table(path)
        return Table({name: columns[name].to_numpy(zero_copy_only=False) for name in columns.column_names})
    return Table.read(path, format=formats[ending])


def import_catalogue(
    connection: Connection, name: str, table: Table, columns: Mapping[str, str], epoch: float, band: str
) -> LoadReport:
    """Load the stars of a table that have a position, in place of what `refcat` had under this name.

    Parameters
    ----------
    name : str
        What the catalogue is to be called.
    table : Table
    columns : mapping of str to str
        Column of `refcat` → column of the table: ra and dec, and those of `OPTIONAL` that it has. Columns with
        a unit are converted; numbers without are taken to be in the unit of `refcat`.
    epoch : float
        Julian year of the positions.
    band : str
        Of the magnitudes.

    Raises
    ------
    RefcatError
        The table lacks a column, or no row has a position.
    """
    unknown = [key for key in columns if key not in ("ra", "dec", *OPTIONAL)]
    absent = [column for column in columns.values() if column not in table.colnames]
    if unknown or absent or not {"ra", "dec"} <= set(columns):
        raise RefcatError(
            f"refcat: {name} has the columns {', '.join(table.colnames)}; asked for"
            f" {', '.join(f'{key}={column}' for key, column in columns.items())}",
            f"give ra=… and dec=…, and of {', '.join(OPTIONAL)} what the file has",
        )
    place = np.ma.stack([np.ma.asarray(table[columns[key]], float) for key in ("ra", "dec")]).filled(np.nan)
    good = np.flatnonzero(np.isfinite(place).all(axis=0))
    if not good.size:
        raise RefcatError(f"refcat: no row of {name} has a position", "look at the columns that ra and dec name")
    chosen = table[good]
    rows = Table({key: chosen[column] for key, column in columns.items()})
    rows["ra"] = np.mod(place[0, good], 360)
    rows["dec"] = place[1, good]
    rows["catalogue"], rows["band"] = np.full(len(rows), name), np.full(len(rows), band)
    rows["refcat_id"], rows["epoch"] = good, np.full(len(rows), epoch)
    rows["healpix29"] = healpix29(rows["ra"], rows["dec"])
    with connection.cursor() as cursor:
        cursor.execute(queries("night")["clear_refcat"], {"catalogue": name})
    return load(connection, "refcat", rows)


def import_tycho2(connection: Connection, ra: float, dec: float, radius_deg: float) -> LoadReport:
    """Load the Tycho-2 stars of a cone [deg] from Debian's packages, as catalogue tycho2."""
    stars = Table(tycho2(ra, dec, radius_deg))
    columns = {name: name for name in ("ra", "dec", "magnitude")}
    return import_catalogue(connection, "tycho2", stars, columns, TYCHO2_EPOCH, TYCHO2_BAND)


def lookup(connection: Connection, catalogue: str, midpoint_tai: float) -> Lookup:
    """Return the function that gives a catalogue's stars in a cone, moved to the epoch of an exposure."""

    def stars(ra: float, dec: float, radius_deg: float) -> np.ndarray:
        values = {
            "catalogue": catalogue, "ra": float(ra), "dec": float(dec), "radius_arcsec": 3600 * radius_deg,
            "epoch": 2000 + (midpoint_tai - J2000_MJD) / 365.25,
        }
        with connection, connection.cursor() as cursor:
            cursor.execute(queries("night")["reference_stars"], values)
            found = cursor.fetchall()
        if not found:
            raise NoReference(
                f"refcat: {catalogue} has no stars within {radius_deg:g} deg of ra {ra:.4f}, dec {dec:.4f}",
                "import a reference catalogue of this field: hven refcat",
            )
        return reference(*np.array(found, float).T)

    return stars
