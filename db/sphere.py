"""pgSphere's types as column types of SQLAlchemy; importing this makes reflection know them.

Their values are those of `db.regions`, in degrees, and `db.adapt` quotes them.
"""

from sqlalchemy import Double
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from db.regions import VALUES, Value, quoted


class _Sphere(UserDefinedType):
    """A column of a pgSphere type: gives and takes values of `db.regions`, in degrees."""

    cache_ok = True
    value: type[Value]

    def get_col_spec(self, **_):
        return f"public.{self.value.sql}"

    def bind_processor(self, dialect):
        return None  # db.adapt quotes the values themselves

    def literal_processor(self, dialect):
        return quoted

    def result_processor(self, dialect, coltype):
        parse = self.value.parse
        return lambda got: parse(got) if isinstance(got, str) else got

    def coerce_compared_value(self, op, value):
        return TYPES[value.sql]() if isinstance(value, VALUES) else self

    @property
    def python_type(self):
        return self.value

    class comparator_factory(UserDefinedType.Comparator):  # noqa: N801 (SQLAlchemy's own name)
        """pgSphere's operators."""

        def within(self, region):
            """Whether this lies inside the region: `<@`."""
            return self.bool_op("<@")(region)

        def contains(self, other, **_):
            """Whether this region holds the other: `@>`."""
            return self.bool_op("@>")(other)

        def overlaps(self, other):
            """Whether the two have a point in common: `&&`."""
            return self.bool_op("&&")(other)

        def distance(self, other):
            """The distance on the great circle, in *radians* as pgSphere gives it: `<->`."""
            return self.op("<->", return_type=Double())(other)


def _column_type(value: type[Value]) -> type[_Sphere]:
    return type(value.sql.capitalize(), (_Sphere,), {"value": value, "cache_ok": True, "__doc__": value.__doc__})


TYPES: dict[str, type[_Sphere]] = {value.sql: _column_type(value) for value in VALUES}
"""Name of the SQL type → type of SQLAlchemy."""
Spoint, Scircle, Sellipse, Sbox, Spoly, Spath, Smoc = TYPES.values()

# Reflection: the name is qualified or not as the reader's search_path has it.
ischema_names |= TYPES | {f"public.{name}": type_ for name, type_ in TYPES.items()}
