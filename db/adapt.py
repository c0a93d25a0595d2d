"""What psycopg2 makes of numpy's and the sky's values when they stand in a query.

In the Science Database NULL means "not measured" and NaN is never stored: a NaN becomes NULL, an infinity is
refused. Arrays hold neither.
"""

import math

import numpy as np
from psycopg2.extensions import (
    AsIs,
    Float,
    Int,
    QuotedString,
    adapt,
    new_type,
    register_adapter,
    register_type,
)

from db import regions
from db.errors import HvenError
from db.queries import queries

NULL = AsIs("NULL")
ARRAYS = dict(b1="bool", i1="int2", i2="int2", i4="int4", i8="int8") | dict(  # noqa: C408 (short keys)
    u1="int2", u2="int4", u4="int8", u8="int8", f2="float4", f4="float4", f8="float8"
)
"""dtype of a numpy array → type of an array's elements in PostgreSQL."""
BRACES = str.maketrans("[]", "{}")


class NotStorable(HvenError, ValueError):
    """A value that no column of the Science Database may hold."""

    exit_status = 16


def register(connection=None):
    """Teach psycopg2 numpy's scalars and arrays, and pgSphere's values; a second call changes nothing.

    Parameters
    ----------
    connection : psycopg2 connection, optional
        Also read pgSphere's types from this connection as values of `db.regions` (their oids differ from
        database to database).
    """
    register_adapter(float, _real)
    for base in (np.floating, np.integer):
        for kind in _leaves(base):
            register_adapter(kind, _real if base is np.floating else _integer)
    register_adapter(np.bool_, lambda value: AsIs("true" if value else "false"))
    register_adapter(np.str_, lambda value: QuotedString(str(value)))
    register_adapter(np.datetime64, _instant)
    register_adapter(np.ndarray, _array)
    register_adapter(np.ma.MaskedArray, _array)
    register_adapter(type(np.ma.masked), lambda _: NULL)
    for value in regions.VALUES:
        register_adapter(value, lambda value: AsIs(regions.quoted(value)))
    if connection is not None:
        _read_spheres(connection)


def _leaves(kind):
    below = kind.__subclasses__()
    return [leaf for child in below for leaf in _leaves(child)] if below else [kind]


def _integer(value):
    return Int(int(value))


def _real(value):
    value = float(value)
    if math.isinf(value):
        raise NotStorable(
            f"a query's parameter got {value}; allowed are finite numbers and NaN, which becomes NULL",
            "find out what divided by zero, or mask the value",
        )
    return NULL if math.isnan(value) else Float(value)


def _instant(value):
    return NULL if np.isnat(value) else AsIs(f"'{value.astype('M8[us]')}+00'::timestamptz")


def _array(values):
    if values.ndim == 0:
        return NULL if np.ma.is_masked(values) else adapt(values[()])
    try:
        element = ARRAYS[values.dtype.str[1:]]
    except KeyError:
        raise NotStorable(
            f"an array parameter got dtype {values.dtype}; allowed are booleans, integers and floats",
            "pass text as a list",
        ) from None
    if np.ma.is_masked(values) or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise NotStorable(
            "an array parameter got masked values, NaN or infinity; arrays hold finite values only",
            "leave these elements out, or pass them in a validity array beside it",
        )
    return AsIs(f"'{str(values.tolist()).translate(BRACES)}'::{element}[]")


def _read_spheres(connection):
    mode, connection.autocommit = connection.autocommit, True  # leaves no transaction open
    with connection.cursor() as cursor:
        cursor.execute(queries("catalogue")["sphere_types"])
        oids = dict(cursor.fetchall())
    connection.autocommit = mode
    for value in regions.VALUES:
        if value.sql in oids:
            caster = new_type((oids[value.sql],), value.sql.upper(), _reader(value))
            register_type(caster, connection)


def _reader(value):
    return lambda text, cursor: None if text is None else value.parse(text)
