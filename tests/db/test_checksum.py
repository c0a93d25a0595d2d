"""Digests: every change of a result is seen, and nothing else."""

import json
from contextlib import closing

import pytest
import sqlalchemy
from click.testing import CliRunner

from db import checksum, comparison
from db.cli.checksum import checksum as verb
from db.connect import connect
from db.schema import metadata
from db.settings import hven_home, socket_folder

ROWS = 60
FIRST_ID = "CREATE FUNCTION hven.first_id_of_night(int, int) RETURNS bigint RETURN $2::bigint << 43"


@pytest.fixture
def cursor(database):
    """Return a cursor that commits in a clone with some DiaSources and Objects."""
    with closing(connect(database)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("SELECT hven.ensure_partitions(0, 8107, 8107)")
        fill(cursor, "level1.dia_source")
        yield cursor


def fill(cursor, table: str, order: str = "ASC", tile: str = "") -> None:
    values = f"""
        hven.first_id_of_night(0, 8107) + (i << 4), i, 33206272, i % 190, 1, 58107.1 + i * 1e-6, i * 5.9e0, i - 30.5e0,
        (i::bigint << 55) + 7, 0.1 * i, i / 7.0::float4, i {", i * 800" if tile else ""}
        FROM generate_series(1, {ROWS}) AS i ORDER BY i {order}"""
    cursor.execute(f"""INSERT INTO {table} (dia_source_id, exposure_id, visit_id, detector_id, filter_id, midpoint_tai,
        ra, dec, healpix29, psf_flux, psf_flux_err, object_id {tile}) SELECT {values}""")


def digests(database: str, everything: bool = False, order: int = 3) -> dict:
    with checksum.snapshot(database) as held:
        return checksum.digest(database, held, checksum.subjects(held[0], everything), order)


def dia_source(database: str) -> checksum.Digest:
    with checksum.snapshot(database) as held:
        wanted = checksum.chosen(checksum.subjects(held[0]), ("dia_source",))
        return checksum.digest(database, held, wanted)["catalogue.dia_source"].whole


def test_digest_is_that_of_a_loop_over_rows(database, cursor, monkeypatch):
    monkeypatch.setattr(checksum, "PIECE", 1)  # many pieces
    wide = (sqlalchemy.BigInteger,)
    columns = ", ".join(
        f"{c.name} IS NULL" if c.info["science"] == "presence" else f'int8send("{c.name}")' if type(c.type) in wide
        else f'"{c.name}"'
        for c in sorted(metadata.tables["catalogue.dia_source"].columns, key=lambda c: c.name)
        if c.info["science"]
    )  # fmt: skip
    once = f"int8send(hash_record_extended(ROW({columns}), 0))"
    cursor.execute(f"""SELECT healpix29, hash_record_extended(ROW({once}), 1), hash_record_extended(ROW({once}), 2)
                       FROM level1.dia_source""")
    expected: dict = {}
    for healpix29, first, second in cursor:
        rows, xor, added = expected.get(healpix29 // 4**26, (0, 0, 0))
        expected[healpix29 // 4**26] = rows + 1, (xor ^ first) % 2**64, (added + second) % 2**64
    found = digests(database)["catalogue.dia_source"].pixels
    assert len(expected) > 5
    assert found == {pixel: checksum.Digest(*values) for pixel, values in expected.items()}


def test_order_and_storage_do_not_matter(database, cursor):
    before = dia_source(database)
    cursor.execute("TRUNCATE level1.dia_source")
    fill(cursor, "level1.dia_source", "DESC")
    cursor.execute("UPDATE level1.dia_source SET x = NULL")
    cursor.execute("VACUUM FULL level1.dia_source")
    assert dia_source(database) == before


def test_partition_plan_does_not_matter(hub, database, cursor):
    with closing(connect("postgres")) as session, session.cursor() as outside:
        session.autocommit = True
        outside.execute("CREATE DATABASE by_tile TEMPLATE release_template")
        try:
            outside.execute("ALTER DATABASE by_tile SET search_path = release, hven, public")
            with closing(connect("by_tile")) as release, release, release.cursor() as inside:
                inside.execute(FIRST_ID)
                fill(inside, "release.dia_source", tile=", tile")
            assert dia_source("by_tile") == dia_source(database)
        finally:
            outside.execute("DROP DATABASE by_tile (FORCE)")


def test_every_science_column_counts(database, cursor):
    """Set each nullable column of one row, one after the other."""
    seen = {dia_source(database)}
    model = metadata.tables["catalogue.dia_source"]
    free = [c for c in model.columns if c.nullable and not c.name.startswith(("ss_", "moving_"))]
    for column in free:
        value = "true" if isinstance(column.type, sqlalchemy.Boolean) else "3"
        cursor.execute(f"UPDATE level1.dia_source SET {column.name} = {value} WHERE detector_id = 7")
        assert (dia_source(database) in seen) is not bool(column.info["science"]), column.name
        seen.add(dia_source(database))
    assert len(free) > 40


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE level1.dia_source SET psf_flux = psf_flux + 1e-6 WHERE detector_id = 7",
        "UPDATE level1.dia_source SET ra = ra + 3e-14 WHERE detector_id = 7",
        "UPDATE level1.dia_source SET psf_flux = psf_flux_err, psf_flux_err = psf_flux",
        "UPDATE level1.dia_source SET psf_flux = 1.5 - psf_flux WHERE detector_id IN (7, 8)",  # they change places
        "DELETE FROM level1.dia_source WHERE detector_id = 7",
        "UPDATE level1.dia_source SET dia_source_id = dia_source_id + 1 WHERE detector_id = 7",
    ],
)
def test_a_small_change_is_seen(database, cursor, change):
    before = dia_source(database)
    cursor.execute(change)
    assert dia_source(database) != before


def test_rows_that_come_twice_are_seen(database, cursor):
    """They cancel in the exclusive or, so only count and sum can tell."""
    before = digests(database, everything=True)
    cursor.execute("CREATE TABLE level1.own AS SELECT 1 AS a FROM generate_series(1, 2)")
    once = digests(database, everything=True)["catalogue.own"].whole
    cursor.execute("UPDATE level1.own SET a = 2")
    twice = digests(database, everything=True)["catalogue.own"].whole
    assert "catalogue.own" not in before
    assert once.xor == twice.xor == 0
    assert once.sum != twice.sum


def test_clocks_counters_and_reasons_do_not_count(database, cursor):
    before = dia_source(database)
    cursor.execute("UPDATE level1.dia_source SET time_processed = 60000")
    assert dia_source(database) == before
    cursor.execute("UPDATE level1.dia_source SET time_withdrawn = 60000")
    withdrawn = dia_source(database)
    cursor.execute("UPDATE level1.dia_source SET time_withdrawn = 60001")
    assert before != withdrawn == dia_source(database)


def test_no_science_column_is_a_clock():
    covered = [c for t in metadata.sorted_tables for c in t.columns if c.info["science"]]
    assert not [c for c in covered if isinstance(c.type, sqlalchemy.TIMESTAMP)]
    assert not [c for c in covered if c.name in ("job_id", "file_id", "tile")]


def test_rows_of_an_object_lie_where_it_does(database, cursor):
    pixel29 = 12 * 4**29 - 4**25
    object_id = (pixel29 >> 8) << 3
    cursor.execute(f"""INSERT INTO level1.object (object_id, ra, dec, healpix29, mean_ra, mean_dec)
                       VALUES ({object_id}, 1, 1, {pixel29}, 1, 1)""")
    cursor.execute(f"INSERT INTO level1.object_variability (object_id, period) VALUES ({object_id}, 1)")
    found = digests(database, order=5)
    assert set(found["catalogue.object"].pixels) == set(found["catalogue.object_variability"].pixels) == {12 * 4**5 - 4}


def test_everything_covers_users_tables_and_regions(database, cursor):
    cursor.execute("CREATE SCHEMA ada; CREATE TABLE ada.field (id int, outline public.spoly)")
    cursor.execute("INSERT INTO ada.field VALUES (1, '{(0d,0d),(1d,0d),(1d,1d)}')")
    found = digests(database, everything=True)
    assert found["ada.field"].whole.rows == 1
    assert "ada.field" not in digests(database)


def test_rows_that_come_meanwhile_do_not_count(database, cursor):
    with checksum.snapshot(database) as held:
        wanted = checksum.subjects(held[0])
        cursor.execute("DELETE FROM level1.dia_source WHERE detector_id > 7")
        assert checksum.digest(database, held, wanted)["catalogue.dia_source"].whole.rows == ROWS


def test_a_sum_of_digests_is_that_of_both():
    parts = [checksum.Digest(2, 2**64 - 1, 2**63), checksum.Digest(3, 1, 2**63 + 5)]
    assert sum(parts, checksum.Digest()) == checksum.Digest(5, 2**64 - 2, 5)


def test_report_survives_json(database, cursor):
    report = comparison.Report(database, "science", 3, digests(database))
    assert comparison.parse(json.loads(json.dumps(report.as_dict()))) == report


def run(*words):
    return CliRunner().invoke(verb, [str(word) for word in words])


@pytest.fixture
def taken(database, cursor, tmp_path):
    """Return a file with the digests of the clone."""
    path = tmp_path / "digests.json"
    path.write_text(run(database, "--json", "--order", 1).stdout)
    return path


def test_table_of_digests(database, cursor):
    said = run(database).stdout.splitlines()
    assert said[0].split()[:2] == ["catalogue.dia_source", str(ROWS)]
    assert said[-1].endswith("tables are empty")


def test_against_an_equal_database(database, taken):
    done = run(database, "--against", taken)
    assert (done.exit_code, done.stdout) == (0, "equal\n")


def test_against_another_names_tables_and_pixels(database, cursor, taken):
    cursor.execute("UPDATE level1.dia_source SET psf_flux = 0 WHERE detector_id = 7")
    cursor.execute("INSERT INTO level1.filter (filter_id, name) VALUES (1, 'u')")
    done = run(database, "--against", taken)
    assert done.exit_code == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:3] for line in lines[:-1]] == [
        ["catalogue.dia_source", "pixel", "3"],
        ["catalogue.filter", "pixel", "none"],
    ]
    assert done.stdout.endswith("2 tables differ\n")
    assert {entry["table"] for entry in json.loads(run(database, "--against", taken, "--json").stdout)} == {
        "catalogue.dia_source", "catalogue.filter",
    }  # fmt: skip


def test_against_other_columns(database, cursor, taken):
    cursor.execute("ALTER TABLE level1.patch DROP COLUMN overlap")
    done = run(database, "--against", taken)
    assert "catalogue.patch" in done.stdout
    assert "here column -, there column overlap" in done.stdout


def test_against_another_choice_of_tables(database, taken):
    assert run(database, "--against", taken, "--table", "level1.dia_source").stdout == "equal\n"


def test_covered_columns_are_listed(database, cursor):
    said = run(database, "--columns", "--table", "detector").stdout
    assert said == "catalogue.detector: detector_id, height, instrument, name, pixel_scale, width\n"


@pytest.mark.parametrize("words, message", [
    (("--table", "nothing"), "no table nothing is covered; covered are .*Remedy: name one of these"),
    (("--against", __file__), "test_checksum.py does not hold digests .*Remedy: make it by"),
])  # fmt: skip
def test_fault_is_named(database, words, message):
    with pytest.raises(checksum.ChecksumError, match=message):
        CliRunner().invoke(verb, [database, *words], catch_exceptions=False)


def test_a_role_without_rights_is_told(database, cursor, monkeypatch):
    cursor.execute("CREATE ROLE stranger LOGIN PASSWORD 'stella'")
    for name, value in {"PGHOST": socket_folder(hven_home()), "PGUSER": "stranger", "PGPASSWORD": "stella"}.items():
        monkeypatch.setenv(name, str(value))
    try:
        with pytest.raises(checksum.ChecksumError, match="can't be read .permission denied.*Remedy: connect as"):
            dia_source(database)
    finally:
        cursor.execute("DROP ROLE stranger")


def test_pieces_cover_all_blocks(database, cursor, monkeypatch):
    monkeypatch.setattr(checksum, "PIECE", 3)
    cursor.execute("CREATE TABLE level1.big AS SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i")
    subject = checksum.Subject("x", "level1.big", ("i",), ("i",), "NULL::bigint")
    with checksum.snapshot(database) as held:
        pieces = list(checksum._pieces(held[0], subject))
        found = checksum.digest(database, held, [subject])["x"].whole
    assert len(pieces) > 10
    assert found.rows == 2000
