"""Files become tables and files again: exactly, in bounded memory, all or nothing."""

from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from db.connect import connect
from federation.errors import Level3Error
from federation.exporting import export_query, export_table
from federation.importing import Wish, import_file
from federation.sessions import as_user
from tests.federation.conftest import login, outcome


def catalogue(rows=7):
    """A table with every kind of column, units, a UCD, masked values."""
    rng = np.random.default_rng(1)
    table = Table(meta={"description": 'Clusters <&> "friends"'})
    table["RAJ2000"] = rng.uniform(0, 360, rows)
    table["DEJ2000"] = rng.uniform(-90, 90, rows)
    table["RAJ2000"].unit = table["DEJ2000"].unit = "deg"
    table["Mass (1e14)"] = MaskedColumn(rng.normal(size=rows).astype("f4"), mask=np.arange(rows) == 2, unit="solMass")
    table["n"] = MaskedColumn(np.arange(rows) - 3, mask=np.arange(rows) == 1, dtype="i4")
    table["big"] = (1 << 62) + np.arange(rows)
    table["small"] = np.arange(rows, dtype="i2")
    table["byte"] = np.arange(rows, dtype="u1") + 200
    table["select"] = np.arange(rows) % 2 == 0
    table["name"] = [f"Abell {i}" if i else 'Fünf, "six"' for i in range(rows)]
    table["Mass (1e14)"].description = "Mass within r200"
    return table


def through(release, path, out, wish=None):
    with as_user(release, "alice") as session:
        done = import_file(session, path, "mine", wish or Wish())
        rows = export_table(session, "mine", out)
    assert rows == done.rows
    return done


def write(table, path):
    if path.suffix == ".fits":
        table = table.copy()
        table["name"] = [text.encode("ascii", "replace").decode() for text in table["name"]]
        table.write(path)
    elif path.suffix == ".vot":
        table["RAJ2000"].meta["ucd"] = "pos.eq.ra;meta.main"
        table.write(path, format="votable", tabledata_format="tabledata")
    elif path.suffix == ".parquet":  # astropy would write masks as columns of their own
        arrays = [pa.array(np.ma.getdata(table[n]).tolist(), mask=np.ma.getmaskarray(table[n])) for n in table.colnames]
        pq.write_table(pa.Table.from_arrays(arrays, table.colnames), path)
    else:
        table.write(path, format="ascii.ecsv" if path.suffix == ".ecsv" else "ascii.csv")
    return path


def same(one, other, units=True):
    assert one.colnames == other.colnames
    assert len(one) == len(other)
    for name in one.colnames:
        a, b = np.ma.asarray(one[name]), np.ma.asarray(other[name])
        assert a.dtype.kind == b.dtype.kind, name
        assert a.dtype.itemsize == b.dtype.itemsize or a.dtype.kind in "UO", name
        assert np.array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b)), name
        a, b = (one.filled() if one.dtype.kind in "UOb" else one.filled(0) for one in (a, b))
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name
        if units:
            assert one[name].unit == other[name].unit


FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".parquet": "parquet"}


@pytest.mark.parametrize("ending", FORMATS)
def test_a_round_trip_is_exact(release, tmp_path, ending):
    path = write(catalogue(), tmp_path / f"in{ending}")
    out = tmp_path / f"out{ending}"
    done = through(release, path, out)
    assert done.rows == 7
    same(Table.read(path, format=FORMATS[ending]), Table.read(out, format=FORMATS[ending]), units=ending != ".parquet")
    assert list(tmp_path.glob(".unfinished*")) == []


def test_a_round_trip_by_csv_needs_its_sidecar(release, tmp_path):
    path = write(catalogue(), tmp_path / "in.ecsv")
    through(release, path, tmp_path / "out.csv")
    with as_user(release, "alice") as session:
        import_file(session, tmp_path / "out.csv", "again")
        export_table(session, "again", tmp_path / "again.ecsv")
    same(Table.read(path, format="ascii.ecsv"), Table.read(tmp_path / "again.ecsv", format="ascii.ecsv"))


def test_csv_tells_an_empty_text_from_none(release, tmp_path):
    (tmp_path / "in.csv").write_text('a,b\n1,""\n2,\n3,x\n')
    through(release, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == 'a,b\n1,""\n2,\n3,"x"\n'


def test_every_type_of_parquet_comes_back(release, tmp_path):
    table = pa.table(
        {
            "u8": pa.array([0, 255, None], pa.uint8()),
            "u64": pa.array([0, 1 << 62, None], pa.uint64()),
            "f": pa.array([0.1, None, -1e300]),
            "t": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "s": ["", None, "x\ny"],
            "b": pa.array([b"", b"\x00\xff", None]),
            "l": [[1.5, 2.0], [], None],
            "d": pa.array(["a", None, "b"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    through(release, tmp_path / "in.parquet", tmp_path / "out.parquet")
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.to_pylist() == table.to_pylist()
    names = [str(one).replace("item", "element") for one in table.schema.types[:-1]]
    assert [str(one) for one in back.schema.types[:-1]] == names


def positions(release):
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT relation FROM level3.product WHERE login = 'alice' AND name = 'mine'")
        relation = cursor.fetchone()[0]
        cursor.execute(f"SELECT ra, dec, healpix29 = hven.healpix29(ra, dec) FROM {relation}")
        return cursor.fetchall()


@pytest.mark.parametrize(
    ("header", "row", "wish"),
    [
        ("ra,dec", "150.25,-2.5", {}),
        ("RA_ICRS,DE_ICRS", "150.25,-2.5", {}),
        ("alpha_j2000,delta_j2000", "10:01:00,-02:30:00", {}),
        ("RAJ2000,DEJ2000", "10 01 00.0,-02 30 00", {}),
        ("ra,dec", "10h01m00s,-02d30m00s", {}),
        ("x,y", f"{np.radians(150.25)},{np.radians(-2.5)}", {"ra": "x", "dec": "y", "unit": "rad"}),
        ("x,y", "10.016666666666667,-0.16666666666666666", {"ra": "x", "dec": "y", "unit": "hour"}),
    ],
)
def test_positions_are_recognised_or_told(release, tmp_path, header, row, wish):
    (tmp_path / "in.csv").write_text(f"{header}\n{row}\n")
    through(release, tmp_path / "in.csv", tmp_path / "out.csv", Wish(**wish))
    (found,) = positions(release)
    assert found[:2] == pytest.approx((150.25, -2.5), abs=1e-9)
    assert found[2]
    assert (tmp_path / "out.csv").read_text().startswith(header)


def test_coordinates_in_different_units_are_each_converted(release, tmp_path):
    table = Table({"ra": [np.radians(150.25)], "dec": [-2.5]}, units={"ra": "rad", "dec": "deg"})
    table.write(tmp_path / "in.ecsv")
    through(release, tmp_path / "in.ecsv", tmp_path / "out.ecsv")
    assert positions(release)[0][:2] == pytest.approx((150.25, -2.5))


@pytest.fixture
def nothing_left(release):
    yield
    with closing(connect(release)) as session, session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'user_alice'::regnamespace")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM level3.product")
        assert cursor.fetchone() == (0,)


def refused(release, path, message, wish=None):
    with pytest.raises(Level3Error, match=message), as_user(release, "alice") as session:
        import_file(session, path, "mine", wish or Wish())


XML = """<?xml version="1.0"?>{}<VOTABLE version="1.4"><RESOURCE><TABLE><FIELD name="a" datatype="int"/>
<DATA><TABLEDATA><TR><TD>{}</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""
STREAM = XML.format("", "1").replace("TABLEDATA", "BINARY").replace("<TR><TD>1</TD></TR>", "<STREAM {}>{}</STREAM>")
FILES = {
    "external.vot": (
        XML.format('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;"),
        "declares the entity 'e'",
    ),
    "bomb.vot": (XML.format('<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>', "&b;"), "declares the entity 'a'"),
    "cut.vot": (XML.format("", "1")[:-40], "no element found|can't be read"),
    "fits.vot": (XML.format("", "1").replace("TABLEDATA", "FITS"), "has its rows as FITS; allowed are TABLEDATA"),
    "no stream.vot": (XML.format("", "1").replace("TABLEDATA", "BINARY2"), "has no STREAM"),
    "elsewhere.vot": (STREAM.format('href="ftp://x"', ""), "has its rows elsewhere"),
    "cut binary.vot": (STREAM.format('encoding="base64"', "AAAAAQAA"), "its last row is cut short"),
    "no base64.vot": (STREAM.format('encoding="base64"', "AAA"), "can't be read"),
    "latin.vot": (XML.format("", "\xff").encode("latin-1"), "is not UTF-8|is no VOTable"),
    "text.vot": ("nonsense", "is no VOTable"),
    "word.vot": (XML.format("", "one"), "row 1: a is 'one', no int32"),
    "double.csv": ("a,b,a\n1,2,3\n", "has the column 'a' more than once"),
    "far.csv": ("ra,dec\n1,2\n400,2\n", "row 2: ra is '400', allowed are 0 <= ra < 360 deg"),
    "low.csv": ("ra,dec\n1,-90.001\n", "row 1: dec is '-90.001', allowed are -90 <= dec <= 90"),
    "mixed.csv": (
        "ra,dec\n10:01:00,2\n" + "10:02:00,3\n" * 300 + "150.2,4\n",
        "row 302: ra is '150.2', allowed are sexagesimal",
    ),
    "nul.csv": ("a,b\n1,x\x00y\n", "b is 'x\\\\x00y', allowed are texts without NUL"),
    "ragged.csv": ("a,b\n1,2\n3\n4,5,6\n", "2 bad rows"),
    "empty.csv": ("", "has no line of names"),
    "latin.csv": (b"a\n\xff\xfe\n", "not UTF-8|can't be read|invalid"),
    "text.fits": ("nonsense", "is no FITS file"),
    "text.parquet": ("nonsense", "is no Parquet file"),
    "x.docx": ("", "ends in .docx; allowed are"),
    "wrong.ecsv": (
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: complex128}\na\n1\n",
        "of type complex128",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files_are_refused_whole(release, tmp_path, nothing_left, name):
    content, message = FILES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(release, path, message)


def test_arrays_of_variable_length_in_fits_are_refused(release, tmp_path, nothing_left):
    column = fits.Column("spectrum", "PE()", array=np.array([[1.0], [1.0, 2.0]], object))
    fits.BinTableHDU.from_columns([column]).writeto(tmp_path / "in.fits")
    refused(release, tmp_path / "in.fits", "'spectrum' holds arrays of variable length")


def test_a_name_that_is_taken_is_refused(release, tmp_path):
    (tmp_path / "in.csv").write_text("a\n1\n")
    through(release, tmp_path / "in.csv", tmp_path / "out.csv")
    refused(release, tmp_path / "in.csv", "there is a product mine already")


def test_three_bad_rows_in_many_go_to_a_report_if_asked(release, tmp_path):
    lines = [f"{i % 360},{i % 90},{i}" for i in range(50_000)]
    lines[100], lines[20_000], lines[49_999] = "400,0,1", "1,1,many", "1,inf,2"
    (tmp_path / "in.csv").write_text("ra,dec,n\n" + "\n".join(lines) + "\n")
    refused(release, tmp_path / "in.csv", "has 3 bad rows, nothing is imported: row 101: ra is '400'")
    done = through(release, tmp_path / "in.csv", tmp_path / "out.csv", Wish(report=tmp_path / "bad.csv"))
    assert (done.rows, done.bad) == (49_997, 3)
    report = (tmp_path / "bad.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in report] == ["row", "101", "20001", "50000"]


def test_reserved_names_are_changed_and_told(release, tmp_path):
    (tmp_path / "in.csv").write_text("select,User,ctid,1st,a b,A_B,\n1,2,3,4,5,6,7\n")
    done = through(release, tmp_path / "in.csv", tmp_path / "out.csv")
    assert done.notes == [
        "'select' is stored as select_",
        "'User' is stored as user_",
        "'ctid' is stored as ctid_",
        "'1st' is stored as c_1st",
        "'a b' is stored as a_b",
        "'A_B' is stored as a_b_2",
        "'' is stored as column_7",
    ]
    assert (tmp_path / "out.csv").read_text().startswith('select,User,ctid,1st,"a b",A_B,')


def test_private_tables_have_names_that_tell_nothing(release, tmp_path):
    (tmp_path / "in.csv").write_text("a\n1\n")
    done = through(release, tmp_path / "in.csv", tmp_path / "out.csv")
    assert done.relation.startswith("user_alice.t_")
    assert "mine" not in done.relation
    with as_user(release, "alice") as session, session.cursor() as cursor:
        cursor.execute("SELECT level3.use_names()")
        cursor.execute("SELECT a FROM mine")
        assert cursor.fetchall() == [(1,)]


def test_a_table_made_by_sql_can_be_hidden_too(release):
    with closing(login("alice")) as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE telling AS SELECT 1 AS a")
        cursor.execute("SELECT level3.hide('telling')")
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname = 'telling'")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT level3.use_names()")
        cursor.execute("SELECT a FROM telling")
        assert cursor.fetchone() == (1,)
        assert outcome(session, "SELECT level3.hide('nothing')") == "VN052"


def test_an_import_stops_at_the_quota(release, tmp_path):
    pq.write_table(pa.table({"x": np.random.default_rng(1).normal(size=800_000)}), tmp_path / "in.parquet")
    refused(release, tmp_path / "in.parquet", "would take .* MB, allowed to alice are 20 MB")


def test_any_query_is_exported(release, tmp_path):
    with as_user(release, "alice") as session:
        query = "SELECT object_id, ra, dec FROM object"
        assert export_query(session, query, tmp_path / "out.fits") == 0
        with pytest.raises(Level3Error, match="give each a name|returns the columns"):
            export_query(session, "SELECT 1 AS a, 2 AS a", tmp_path / "out.csv")
        with pytest.raises(Level3Error, match="syntax error"):
            export_query(session, "SELEC 1", tmp_path / "out.csv")
    assert Table.read(tmp_path / "out.fits")["ra"].unit == "deg"


ODD = '<TR ID="r">\n <TD/><TD encoding="x">&#65;&amp;&lt;</TD> </TR>\n<TR><TD>2</TD>\n<TD>&quot; &amp;amp;</TD></TR>'


@pytest.mark.parametrize("prefix", ["", "vot:"])
def test_votables_are_read_however_they_are_written(release, tmp_path, prefix):
    head = '<FIELD name="n" datatype="int"/><FIELD name="s" datatype="char" arraysize="*"/>'
    rows = f"<TABLE>{head}<DATA><TABLEDATA>{ODD}</TABLEDATA></DATA></TABLE>"
    plain = f"<VOTABLE><RESOURCE>{rows}</RESOURCE></VOTABLE>"
    text = plain.replace("</", f"<//{prefix}").replace("<", f"<{prefix}").replace(f"<{prefix}//", "</")
    if prefix:
        text = text.replace("VOTABLE>", 'VOTABLE xmlns:vot="http://www.ivoa.net/xml/VOTable/v1.3">', 1)
    (tmp_path / "in.vot").write_text(text)
    through(release, tmp_path / "in.vot", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == 'n,s\n,"A&<"\n2,""" &amp;"\n'


@pytest.mark.parametrize("form", ["binary", "binary2"])
@pytest.mark.parametrize("texts", ["fixed", "variable"])
def test_binary_votables_are_read(release, tmp_path, form, texts):
    table = catalogue(5000)
    if texts == "fixed":
        del table["name"]  # astropy gives each text a length of its own
    else:
        table["name"][3] = ""
    if form == "binary":
        table["n"] = table["n"].filled(7)  # it has no room for NULL among integers
    table["place"] = np.arange(15000.0).reshape(-1, 3)
    table.write(tmp_path / "in.vot", format="votable", tabledata_format=form)
    through(release, tmp_path / "in.vot", tmp_path / "out.vot")
    before, after = (Table.read(tmp_path / name, format="votable") for name in ("in.vot", "out.vot"))
    if texts == "variable":
        before["name"] = np.ma.masked_equal(np.asarray(before["name"]).astype(str), "")
        after["name"] = np.ma.masked_equal(np.asarray(after["name"].filled("")).astype(str), "")
    same(before, after)
