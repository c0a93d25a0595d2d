"""Every table, column and constraint says what it is."""

import re

import pytest
from astropy.io.votable.ucd import parse_ucd
from astropy.units import Unit
from sqlalchemy import CheckConstraint

from db import databases
from db.describe import vounit
from db.pages import ldm

DATABASES = ("hub", "level1", "dr1", "mini_x")
TABLES = {
    f"{database}.{table.fullname}": table
    for database in DATABASES
    for table in databases.layout(database).tables().sorted_tables
}
COLUMNS = {f"{name}.{column.name}": column for name, table in TABLES.items() for column in table.columns}
UNITS = {column.info["unit"] for column in COLUMNS.values()}
UCDS = {column.info["ucd"] for column in COLUMNS.values()}
REFERENCES = {column.info["ldm"] for column in COLUMNS.values()} - {None}
PLAIN = re.compile("[a-z][a-z0-9_]{0,62}")


def bad(things, rule):
    return [name for name, thing in things.items() if not rule(thing)]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_unit_is_a_vounit(unit):
    Unit(vounit(unit), format="vounit")


def test_electron_is_the_only_unit_that_vounit_lacks():
    assert {vounit(unit) for unit in UNITS if vounit(unit) != unit} == {
        "'electron'", "nJy/'electron'", "'electron'/adu",
    }


@pytest.mark.parametrize("ucd", sorted(UCDS))
def test_ucd_is_of_the_vocabulary(ucd):
    parse_ucd(ucd, check_controlled_vocabulary=True)


def test_every_column_is_described_in_a_phrase():
    assert bad(COLUMNS, lambda column: column.info["doc"] and not column.info["doc"].rstrip().endswith(".")) == []


def test_comment_ends_with_the_unit():
    measured = {name: column for name, column in COLUMNS.items() if column.info["unit"]}
    assert bad(measured, lambda column: column.comment.endswith(f"[{column.info['unit']}]")) == []


def test_every_table_is_described_in_a_phrase():
    assert bad(TABLES, lambda table: table.comment and not table.comment.endswith(".")) == []


def test_every_check_says_what_it_demands():
    checks = {
        f"{name}.{constraint.name}": constraint
        for name, table in TABLES.items() for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert len(checks) > 50
    assert bad(checks, lambda check: check.comment and not check.comment.endswith(".")) == []


def test_names_need_no_quotes():
    names = {column.name for column in COLUMNS.values()} | {table.name for table in TABLES.values()}
    assert [name for name in names if not PLAIN.fullmatch(name)] == []


def test_every_reference_to_ldm_151_is_a_line_of_it():
    assert REFERENCES - {line.reference for line in ldm.lines()} == set()


def test_ldm_151_has_six_tables_and_their_lines():
    assert [len(lines) for lines in ldm.tables().values()] == [12, 5, 17, 10, 8, 10]


def test_a_wrong_ucd_is_found():
    with pytest.raises(ValueError, match="flux"):
        parse_ucd("flux.psf", check_controlled_vocabulary=True)
