"""Synthetic rows can't come into a release: not by schema, not by id, not by role."""

from contextlib import closing

import psycopg2
import pytest

from db import databases, freeze, release
from db.connect import connect
from db.release import ReleaseError
from federation import foreign
from federation.errors import Level3Error
from migrations.upgrade import create_release

MINI, REAL = "mini_apart", "dr12"
MINI_OBJECT = (60 << 57) | (1000 << 3)


@pytest.fixture(scope="module")
def both(hub):
    for name, number in ((MINI, 60), (REAL, 12)):
        create_release(name, number)
    yield
    for name in (MINI, REAL):
        release.drop(name)


def try_(name, statement, *values, role=None):
    with closing(connect(name)) as session, session.cursor() as cursor:
        if role:
            cursor.execute(f"SET ROLE hven_{role}")
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else None


def test_only_a_mini_release_has_truth_tables(both):
    there = "SELECT to_regclass('synthetic.synthetic_object') IS NOT NULL"
    assert try_(MINI, there) == [(True,)]
    for name in (REAL, "level1"):
        assert try_(name, there) == [(False,)]
    layouts = [databases.layout(name) for name in (MINI, REAL, "level1_a", databases.TEMPLATE)]
    assert ["synthetic" in layout.schemas() for layout in layouts] == [True, False, False, False]


@pytest.mark.parametrize("table", ["object", "source", "dia_source", "forced_source"])
def test_a_release_takes_no_id_of_a_mini_release(both, table):
    own = f"{table}_id"
    defined = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s"
    checks = try_(REAL, defined, table, f"{table}_release_check")
    assert checks == [(f"CHECK ((({own} >> 57) = 12))",)]
    if table == "object":
        row = "INSERT INTO object (object_id, ra, dec, healpix29, mean_ra, mean_dec) VALUES (%s, 1, 1, 1, 1, 1)"
        with pytest.raises(psycopg2.errors.CheckViolation, match="object_release_check"):
            try_(REAL, row, MINI_OBJECT)


@pytest.mark.parametrize("role", ["public", "scientist", "level3"])
def test_who_asks_a_release_has_no_way_into_a_mini_release(both, role):
    may = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
    assert try_(REAL, may, f"hven_{role}", MINI) == [(False,)]
    with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedTable)):
        try_(MINI, "SELECT count(*) FROM synthetic.synthetic_object", role=role)


def test_a_mini_release_is_never_published_nor_a_foreign_schema(both):
    with pytest.raises(ReleaseError, match=f"{MINI} is a mini-DR, only releases are published"):
        freeze.publish(MINI)
    with pytest.raises(Level3Error, match=f"{MINI} is a mini-DR; allowed are releases and level1"):
        foreign.federate(REAL, MINI)
