"""How a PL/Python function calls its SQL steps, and times them."""

import json
from time import perf_counter

import numpy as np

POINT = [("tai", ">f8"), ("flux", ">f4"), ("error", ">f4"), ("filter", ">i2")]
KINDS: dict[str, np.dtype] = {
    "4": np.dtype(">i4"), "8": np.dtype(">i8"), "f": np.dtype(">f8"), "e": np.dtype(">f4"), "b": np.dtype("?"),
    "p": np.dtype(POINT),
}  # fmt: skip
"""Letter of a column → its type; p for the light curves in `object_variability.points`."""


class Steps:
    """Calls of SQL functions by plans that a connection keeps, and the milliseconds that each took.

    Parameters
    ----------
    plpy : module
    plans : dict
        The calling function's SD.
    """

    def __init__(self, plpy, plans):
        self.plpy, self.plans = plpy, plans
        self.times, self.last = {}, perf_counter()

    def __call__(self, signature, *arguments):
        """First row, as a dict, of the function of a signature such as ``night_of(float8, float8)``."""
        name, _, types = signature.rstrip(")").partition("(")
        if signature not in self.plans:
            types = types.split(", ") if types else []
            slots = ", ".join(f"${number + 1}" for number in range(len(types)))
            self.plans[signature] = self.plpy.prepare(f"SELECT * FROM hven.{name}({slots})", types)
        given = [value.tolist() if isinstance(value, np.ndarray) else value for value in arguments]
        return self.lap(name, self.plpy.execute(self.plans[signature], given)[0])

    def arrays(self, signature, kinds, *arguments):
        """Columns, as arrays, of a function that returns one row of big-endian bytes; see `columns`."""
        return columns(self(signature, *arguments), kinds)

    def lap(self, name, result=None):
        """Count the time since the last call, or lap, under a name; return the result."""
        now = perf_counter()
        self.times[name] = round(self.times.get(name, 0) + 1000 * (now - self.last), 3)
        self.last = now
        return result

    def report(self, **counts):
        """JSON of counts and of the milliseconds of each step."""
        return json.dumps({**counts, "milliseconds": self.times})


def columns(row, kinds):
    """Arrays of a row of big-endian bytes, as ``string_agg(float8send(x), '')`` gives them; NULL is empty.

    Parameters
    ----------
    row : dict of str to bytes
    kinds : str
        One letter a column: 4 for integer, 8 for bigint, f for float8, e for float4, b for boolean, p for points.
    """
    found = (np.frombuffer(data or b"", KINDS[kind]) for data, kind in zip(row.values(), kinds, strict=True))
    return [column.astype(column.dtype.newbyteorder("=")) for column in found]
