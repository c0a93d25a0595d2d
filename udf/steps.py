"""How a PL/Python function calls its SQL steps, and times them."""

import json
from time import perf_counter

import numpy as np


class Steps:
    """Calls of SQL functions, by plans that a connection keeps, with the milliseconds that each took.

    Parameters
    ----------
    plpy : module
    plans : dict
        The calling function's SD.
    """

    def __init__(self, plpy, plans):
        self.plpy, self.plans = plpy, plans
        self.times, self.last = {}, perf_counter()

    def call(self, signature, *arguments):
        """First row, as a dict, of the function of a signature such as ``night_of(float8, float8)``."""
        if signature not in self.plans:
            name, _, types = signature.rstrip(")").partition("(")
            types = types.split(", ") if types else []
            slots = ", ".join(f"${number + 1}" for number in range(len(types)))
            self.plans[signature] = self.plpy.prepare(f"SELECT * FROM hven.{name}({slots})", types)
        row = self.plpy.execute(self.plans[signature], arguments)[0]
        self.lap(signature.partition("(")[0])
        return row

    def lap(self, name):
        """Count the time since the last call, or lap, under a name."""
        now = perf_counter()
        self.times[name] = round(self.times.get(name, 0) + 1000 * (now - self.last), 3)
        self.last = now

    def report(self, **counts):
        """JSON of counts and of the milliseconds of each step."""
        return json.dumps({**counts, "milliseconds": self.times})


KINDS = {"8": ">i8", "f": ">f8", "e": ">f4", "b": "?"}


def arrays(row, kinds):
    """Arrays of a row of big-endian bytes, as ``string_agg(float8send(x), '')`` gives them; NULL is empty.

    Parameters
    ----------
    row : dict of str to bytes
    kinds : str
        One letter a column: 8 for bigint, f for float8, e for float4, b for boolean.
    """
    columns = (np.frombuffer(data or b"", KINDS[kind]) for data, kind in zip(row.values(), kinds, strict=True))
    return [column.astype(column.dtype.newbyteorder("=")) for column in columns]
