"""What code outside Hven may rely on."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC

import numpy as np

from db.cells import LoadError
from db.connect import connect, dsn, engine
from db.errors import HvenError
from db.load import Digest, LoadReport, described, load
from db.queries import queries
from db.regions import Box, Circle, Ellipse, Moc, Path, Point, Polygon

__all__ = [
    "Box",
    "Circle",
    "Digest",
    "Ellipse",
    "HvenError",
    "LoadError",
    "LoadReport",
    "Moc",
    "Path",
    "Point",
    "Polygon",
    "connect",
    "dsn",
    "engine",
    "load",
    "read_sql",
]

DTYPES = {
    **dict.fromkeys((16,), "?"),
    **dict.fromkeys((21,), "i2"),
    **dict.fromkeys((23,), "i4"),
    **dict.fromkeys((20, 26), "i8"),
    **dict.fromkeys((700,), "f4"),
    **dict.fromkeys((701, 1700), "f8"),
    **dict.fromkeys((18, 19, 25, 1042, 1043), "U"),
    **dict.fromkeys((1114, 1184), "M8[us]"),
}
"""oid of a type → dtype; numeric, such as the sum of bigints, is read as float8."""
ELEMENTS = {1000: "?", 1005: "i2", 1007: "i4", 1016: "i8", 1021: "f4", 1022: "f8"}
"""oid of an array's type → dtype of its elements."""
TIMESTAMPTZ = 1184


def read_sql(query, connection, params=None, *, as_: str = "pandas"):
    """Run a query and return its rows with integers, units and NULLs kept.

    Parameters
    ----------
    query : str or SQLAlchemy selectable
        SQL, with parameters as psycopg2 writes them: ``%(radius)s``.
    connection : psycopg2 connection or str
        Or the name of a database, such as ``dr1``.
    params : dict or sequence, optional
        Parameters of the query.
    as_ : {'pandas', 'table'}
        What to return.

    Returns
    -------
    pandas.DataFrame or astropy.table.Table
        Ids stay integers where NULLs stand beside them: pandas gets its nullable types (``Int64``) and, in
        ``attrs['units']``, the units of columns that come unchanged from a table; the Table is masked where
        NULL stands, and its columns carry their unit and description. Values of pgSphere's types are those of
        this module, arrays are numpy's.

    Raises
    ------
    ValueError
        For another `as_`, or a column name twice.
    """
    make = {"pandas": _pandas, "table": _table}.get(as_)
    if make is None:
        raise ValueError(f"read_sql got as_={as_!r}; allowed are 'pandas' and 'table'")
    if isinstance(connection, str):
        with closing(connect(connection)) as session:
            return _read(query, session, params, make)
    return _read(query, connection, params, make)


def _read(query, connection, params, make: Callable):
    if not isinstance(query, str):
        from sqlalchemy.dialects.postgresql import psycopg2

        compiled = query.compile(dialect=psycopg2.dialect())
        query, params = str(compiled), {**compiled.params, **(params or {})}
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        columns, rows = cursor.description, cursor.fetchall()
        names = [column.name for column in columns]
        if len(set(names)) < len(names):
            raise ValueError(f"read_sql got the columns {names}; give each a name of its own with AS")
        comments = _comments(cursor, columns)
    values = zip(*rows, strict=True) if rows else ((),) * len(names)
    made = {}
    for column, got in zip(columns, values, strict=True):
        about = described(comments.get((column.table_oid, column.table_column)))
        made[column.name] = column.type_code, *_array(column.type_code, got), *about
    return make(made)


def _comments(cursor, columns) -> dict[tuple[int, int], str | None]:
    """Return the comments on the columns of the tables that columns come from, by table's oid and number."""
    tables = {column.table_oid for column in columns if column.table_oid}
    if not tables:
        return {}
    cursor.execute(queries("catalogue")["column_comments"], {"tables": list(tables)})
    return {(oid, number): text for oid, number, text in cursor}


def _array(oid: int, values: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return a column's values, with some value where they are NULL, and where that is."""
    some_null = None in values
    null = np.array([value is None for value in values], bool) if some_null else np.zeros(len(values), bool)
    dtype = DTYPES.get(oid)
    if dtype is None:
        element = ELEMENTS.get(oid)
        array = np.empty(len(values), object)
        array[:] = [_plain(value, element) for value in values]
        return array, null
    if oid == TIMESTAMPTZ:
        values = tuple(value and value.astimezone(UTC).replace(tzinfo=None) for value in values)
    if some_null and dtype[0] != "M":
        filler = "" if dtype == "U" else 0
        values = tuple(filler if value is None else value for value in values)
    return np.array(values, dtype), null


def _plain(value, element: str | None):
    if isinstance(value, list) and element:
        return np.array(value, element)
    return bytes(value) if isinstance(value, memoryview) else value


def _pandas(columns: dict[str, tuple]):
    import pandas as pd

    frame = {}
    for name, (oid, array, null, _, _) in columns.items():
        kind = array.dtype.kind
        if kind == "i":
            frame[name] = pd.arrays.IntegerArray(array, null)
        elif kind == "b":
            frame[name] = pd.arrays.BooleanArray(array, null)
        elif kind == "f":
            frame[name] = np.where(null, array.dtype.type(np.nan), array)
        elif kind == "U":
            frame[name] = np.where(null, None, array.astype(object))
        else:
            frame[name] = pd.to_datetime(array, utc=True) if oid == TIMESTAMPTZ else array
    made = pd.DataFrame(frame)
    made.attrs["units"] = {name: unit for name, (*_, unit) in columns.items() if unit}
    return made


def _table(columns: dict[str, tuple]):
    from astropy.table import Column, MaskedColumn, Table

    table = Table()
    for name, (_, array, null, description, unit) in columns.items():
        about = {"unit": unit, "description": description}
        table[name] = MaskedColumn(array, mask=null, **about) if null.any() else Column(array, **about)
    return table
