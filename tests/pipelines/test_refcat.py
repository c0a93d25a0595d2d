"""Reference catalogues: from files into `refcat`, and back at an exposure's epoch."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.table import Table
from pyarrow import parquet

from pipelines.productions.refcat import RefcatError, import_catalogue, lookup, read_catalogue
from pipelines.steps.refcat import NoReference

COLUMNS = {"ra": "RA", "dec": "DE", "pm_ra": "pmRA", "pm_dec": "pmDE", "magnitude": "V"}
J2020 = 51544.5 + 20 * 365.25


def stars():
    table = Table({"RA": [10.0, 10.001, np.nan], "DE": [60.0, 60.001, 60.0], "V": [9.0, 10.0, 11.0]})
    table["pmRA"] = np.array([0.5, 0.0, 0.0]) * units.arcsec / units.yr
    table["pmDE"] = np.array([0.0, -100.0, 0.0]) * units.mas / units.yr
    return table


def write_parquet(table, path):
    parquet.write_table(pa.table({name: np.asarray(table[name]) for name in table.colnames}), path)


@pytest.fixture(params=["fits", "csv", "parquet"])
def file(request, tmp_path):
    path, table = tmp_path / f"stars.{request.param}", stars()
    if request.param == "fits":
        table.write(path)
        return path
    table["pmRA"] = table["pmRA"].to(units.mas / units.yr).value  # what has no unit is in that of refcat
    if request.param == "csv":
        table.write(path, format="ascii.csv")
    else:
        write_parquet(table, path)
    return path


def test_stars_of_a_file_come_back_where_they_have_moved_to(connection, file):
    report = import_catalogue(connection, "mine", read_catalogue(file), COLUMNS, 2000.0, "V")
    assert report.rows == 2  # one has no position
    with connection.cursor() as cursor:
        cursor.execute("SELECT pm_ra, pm_dec FROM refcat WHERE catalogue = 'mine' ORDER BY refcat_id")
        assert cursor.fetchall() == [(500.0, 0.0), (0.0, -100.0)]
    found = read_back(connection, J2020)
    assert found["ra"][0] == pytest.approx(10 + 20 * 0.5 / 3600 / np.cos(np.radians(60)), abs=1e-6)
    assert found["dec"][1] == pytest.approx(60.001 - 20 * 0.1 / 3600, abs=1e-6)
    assert found["magnitude"].tolist() == [9.0, 10.0]


def read_back(connection, epoch):
    """Like `lookup`, in the test's transaction."""
    from pipelines.productions import refcat

    with connection.cursor() as cursor:
        cursor.execute(refcat.queries("night")["reference_stars"], {
            "catalogue": "mine", "ra": 10.0, "dec": 60.0, "radius_arcsec": 60.0,
            "epoch": 2000 + (epoch - 51544.5) / 365.25,
        })
        return refcat.reference(*np.array(cursor.fetchall(), float).T)


def test_a_catalogue_that_comes_again_replaces_the_former(connection):
    import_catalogue(connection, "mine", stars(), COLUMNS, 2000.0, "V")
    import_catalogue(connection, "mine", stars()[:1], COLUMNS, 2016.0, "V")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(epoch) FROM refcat WHERE catalogue = 'mine'")
        assert cursor.fetchone() == (1, 2016.0)


def test_a_region_without_stars_is_told(connection):
    with pytest.raises(NoReference, match="mine has no stars within 0.5 deg of ra 200.0000, dec -10.0000"):
        lookup(connection, "mine", J2020)(200.0, -10.0, 0.5)


def test_a_column_that_is_not_there_is_told(connection):
    with pytest.raises(RefcatError, match="mine has the columns RA, DE, V, pmRA, pmDE; asked for ra=RA, dec=Dec"):
        import_catalogue(connection, "mine", stars(), {"ra": "RA", "dec": "Dec"}, 2000.0, "V")


def test_a_format_that_is_unknown_is_told(tmp_path):
    with pytest.raises(RefcatError, match=r"got stars.xls; allowed endings are .fits"):
        read_catalogue(tmp_path / "stars.xls")
