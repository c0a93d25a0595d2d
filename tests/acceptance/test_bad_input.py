"""Bad input to the real tables: one clear error each, and nothing that was there is lost."""

import os
import shutil
import subprocess
from contextlib import closing

import numpy as np
import psycopg2
import pytest

from db.cells import LoadError
from db.cluster import Cluster, start, stop
from db.connect import connect
from db.load import load
from pipelines.productions import simulated_sky
from pipelines.simulate.detections import detect
from tests.udf.night import Night

BAND = "filter_id"


@pytest.fixture
def night(database):
    """A Visit with its detections in staging, committed; a second Visit to come."""
    with closing(connect(database)) as session:
        night = Night(session)
        night.begin()
        night.stage(0)
        session.commit()
        yield night


def staged(night, index: int = 1) -> dict:
    """Rows of `staging.dia_source` of a Visit."""
    visit = night.visits[index]
    return simulated_sky.staged_dia_sources(detect(night.sky, visit), visit, job_id=night.job())


def changed(column: np.ndarray, value) -> np.ndarray:
    column = column.copy()
    column[3] = value
    return column


BAD = {
    "ra beyond the circle": ("ra", lambda old: changed(old, 360.0), "got 360.0 in row 3; allowed are 0 <= ra < 360"),
    "ra below 0": ("ra", lambda old: changed(old, -1e-9), "got -1e-09 in row 3; allowed are 0 <= ra < 360"),
    "dec beyond the pole": ("dec", lambda old: changed(old, 90.1), "got 90.1 in row 3; allowed are -90 <= dec <= 90"),
    "ra is NaN": ("ra", lambda old: changed(old, np.nan), "ra .* got NULL, NaN or a masked value in row 3"),
    "flux is infinite": ("psf_flux", lambda old: changed(old, np.inf), "got inf in row 3; allowed are finite"),
    "an id twice": ("dia_source_id", lambda old: changed(old, old[4]), "twice"),
    "ids as floats": ("dia_source_id", lambda old: old.astype(float), "got dtype float64; allowed is int64"),
    "two positions a row": ("ra", lambda old: np.stack([old, old], 1), r"got values of shape \(2,\)"),
    "a column too short": ("ra", lambda old: old[1:], "columns of different lengths"),
    "a column too many": ("magnitude", lambda _: np.zeros(9), "has no column magnitude to load"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_batch_with_a_fault_is_refused_as_a_whole(night, fault):
    before = night.ask("SELECT count(*) FROM staging.dia_source")
    rows = staged(night)
    column, spoil, message = BAD[fault]
    with pytest.raises(LoadError, match=message):
        load(night.session, "staging.dia_source", rows | {column: spoil(rows.get(column))})
    assert night.ask("SELECT count(*) FROM staging.dia_source") == before
    load(night.session, "staging.dia_source", rows)  # the same transaction goes on
    assert night.ask("SELECT count(*) FROM staging.dia_source") == before + rows["ra"].size


def test_a_visit_of_an_unknown_filter(night):
    visits = simulated_sky.visits(night.visits[:1], night.parameters)
    visits |= {"visit_id": visits["visit_id"] + 99, "sequence": visits["sequence"] + 99, BAND: np.array([99], "i2")}
    with pytest.raises(LoadError, match=r"refers to a row that does not exist .*\(filter_id\)=\(99\) is not present"):
        load(night.session, "level1.visit", visits)


def test_detections_of_a_filter_that_is_not_their_visits(night):
    rows = staged(night)
    job = int(rows["job_id"][0])
    night.stage_rows(job, rows | {BAND: changed(rows[BAND], 99)})
    with pytest.raises(psycopg2.Error, match="staged rows are not all of this Visit, its filter") as caught:
        night.associate(1)
    assert caught.value.pgcode == "VN021"
    night.session.rollback()
    assert night.ask("SELECT count(*) FROM staging.dia_source") > 0


def test_an_object_that_is_there_already(night):
    rows = {name: column[:5] for name, column in simulated_sky.objects(night.sky).items()}
    with pytest.raises(LoadError, match=r"a row of this batch is there already .*\(object_id\)="):
        load(night.session, "level1.object", rows)
    assert night.ask("SELECT count(*) FROM level1.object") == night.sky.objects.size


@pytest.mark.parametrize("ra, dec", [("-0.1", "0"), ("360", "0"), ("0", "90.1"), ("'NaN'", "0"), ("0", "'NaN'")])
def test_positions_off_the_sky_are_refused_by_the_table_too(night, ra, dec):
    insert = f"INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec) VALUES (1, {ra}, {dec}, 1, 1, 1)"
    with pytest.raises(psycopg2.errors.CheckViolation, match="object_position_check"):
        night.do(insert)


@pytest.fixture
def small_server(small_disk):
    """Return a server whose whole folder lies on a small disk, with 20 MB that can be given free."""
    os.chown(small_disk, 0, 0)
    small_disk.chmod(0o711)
    subprocess.run(["mount", "-o", "remount,size=240m", str(small_disk)], check=True)
    (small_disk / "ballast").write_bytes(bytes(20 << 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HVEN_HOME", str(small_disk))
        own = Cluster(small_disk, overrides={"shared_buffers": "16MB", "min_wal_size": "80MB", "max_wal_size": "96MB"})
        start(own)
        yield own
        stop(own, "immediate")


def test_a_disk_that_fills_up_under_the_whole_server(small_server):
    """Whether the table or the WAL hits the end first: what was committed stays, and with room it goes on."""

    def add(first: int, rows: int) -> None:
        with closing(connect("postgres")) as session, session:
            load(session, "loaded", {"id": np.arange(first, first + rows), "flux": np.ones(rows)})

    def count() -> int:
        with closing(connect("postgres")) as session, session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM loaded")
            return cursor.fetchone()[0]

    with closing(connect("postgres")) as session, session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE loaded (id int8, flux float8)")
    add(0, 1000)
    with pytest.raises(LoadError, match="(disk of the database is full|server ended the connection).*Remedy: "):
        add(1000, 8_000_000)
    stop(small_server, "immediate")
    (small_server.home / "ballast").unlink()
    start(small_server)
    assert count() == 1000
    add(1000, 1000)
    assert count() == 2000
    assert shutil.disk_usage(small_server.home).total < 250 << 20
