"""Whatever stands in names, headers and units, it stays a name, a header or a unit."""

import csv
from contextlib import closing
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.connect import connect
from federation.columns import Field, clean, named
from federation.errors import Level3Error
from federation.importing import Wish, import_file
from federation.sessions import as_user

EVIL = st.sampled_from([
    "'; DROP TABLE level3.space; --", '"; DROP TABLE level3.space; --', "$$", "%s", "%(x)s", "{}", "\\",
    "a\nb", "E'\\''",
    "ra) SELECT", "]",
    "[deg]", "'", '"', "\u202e", "select", "ctid", "x" * 300, " ", "ﬁ", "&lt;", "]]>",
])  # fmt: skip
TEXT = EVIL | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
FUZZED = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.lists(TEXT, min_size=1, max_size=6, unique=True))
@settings(deadline=None)
def test_names_are_lower_snake_case_and_differ(originals):
    fields, _ = named([Field(name, pa.int64()) for name in originals], {"select"}, True, True)
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    assert all(name == clean(name) or name.rstrip("_0123456789") or name for name in names)
    assert all(name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit() for name in names)
    assert all(len(name) <= 63 for name in names)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def written(folder, ending, names, units):
    """A file of one row with these names and units."""
    path = folder / f"in{ending}"
    if ending == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerow([name.replace("\n", " ") for name in names])
            csv.writer(file).writerow(range(len(names)))
    elif ending == ".ecsv":
        columns = [{"name": name, "datatype": "int64", "unit": unit, "description": unit}
                   for name, unit in zip(names, units, strict=True)]  # fmt: skip
        text = yaml.safe_dump({"datatype": columns}, default_flow_style=True, width=1 << 20, allow_unicode=False)
        head = " ".join('"' + name.replace('"', '""') + '"' for name in names)
        numbers = " ".join(map(str, range(len(names))))
        path.write_text("# %ECSV 1.0\n# ---\n# " + text.replace("\n", "\n# ").rstrip("# ") + f"{head}\n{numbers}\n")
    elif ending == ".vot":
        fields = "".join(f"<FIELD name={quoteattr(name)} datatype='int' unit={quoteattr(unit)} ucd={quoteattr(unit)}/>"
                         for name, unit in zip(names, units, strict=True))  # fmt: skip
        cells = "".join(f"<TD>{number}</TD>" for number in range(len(names)))
        path.write_text(f"<VOTABLE><RESOURCE><TABLE>{fields}<DATA><TABLEDATA><TR>{cells}</TR></TABLEDATA></DATA></TABLE>"
                        "</RESOURCE></VOTABLE>")  # fmt: skip
    else:
        fields = [pa.field(name, pa.int64(), metadata={"unit": unit, "ucd": unit, "description": unit})
                  for name, unit in zip(names, units, strict=True)]  # fmt: skip
        pq.write_table(pa.table([pa.array([n]) for n in range(len(names))], schema=pa.schema(fields)), path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".ecsv", ".vot", ".parquet"])
def test_headers_and_units_do_nothing_but_name(release, folder, ending):
    @given(st.lists(TEXT, min_size=1, max_size=4, unique=True), TEXT, TEXT, TEXT)
    @FUZZED
    def fuzz(names, unit, name, description):
        path = written(folder, ending, names, [unit] * len(names))
        try:
            with as_user(release, "alice") as session:
                done = import_file(session, path, name, Wish(description=description))
                with session.cursor() as cursor:
                    cursor.execute(f"SELECT * FROM {done.relation}")
                    assert cursor.fetchone()[: len(names)] == tuple(range(len(names)))
                    cursor.execute("SELECT name FROM level3.tables WHERE relation = %s", [done.relation])
                    assert cursor.fetchone() == (name,)
                session.rollback()
        except Level3Error as error:
            assert "Remedy" in str(error)
        with closing(connect(release)) as session, session, session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM level3.space")
            assert cursor.fetchone() == (2,)
            cursor.execute("SELECT count(*) FROM level3.product")
            assert cursor.fetchone() == (0,)

    fuzz()
