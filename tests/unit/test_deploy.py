import pytest

from udf import deploy

HEADER = "-- minimum revision: base\n-- databases: level1\n-- execute: public\n"


def tree_of(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


def test_files_come_after_those_that_they_require(tmp_path):
    tree = tree_of(tmp_path, a=HEADER + "-- requires: b c\n", b=HEADER + "-- requires: c\n", c=HEADER)
    assert list(deploy.read(tree)) == ["c", "b", "a"]


def test_an_include_begins_on_the_line_of_the_opening_quote(tmp_path):
    (tmp_path / "body.py").write_text("first = 1\nsecond = 2\n")
    tree_of(tmp_path, f=HEADER + "AS $python$\n-- include: body.py\nreturn first\n$python$;\n")
    file = deploy.read(tmp_path)["f"]
    assert file.text.endswith("AS $python$first = 1\nsecond = 2\nreturn first\n$python$;\n")
    assert file.origins[3:] == (("f.sql", 4), ("body.py", 2), ("f.sql", 6), ("f.sql", 7))


def test_the_digest_follows_an_included_file(tmp_path):
    (tmp_path / "body.py").write_text("a = 1\n")
    tree_of(tmp_path, f=HEADER + "-- include: body.py\n")
    before = deploy.manifest(tmp_path)
    (tmp_path / "body.py").write_text("a = 2\n")
    assert deploy.manifest(tmp_path).keys() == before.keys()
    assert deploy.manifest(tmp_path) != before


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"f": "-- databases: hub\n-- execute: public\n"},
            "f.sql: a line `-- minimum revision: …` is missing",
        ),
        ({"f": HEADER + "-- requires: g\n"}, "f.sql: requires g, and there is no g.sql"),
        ({"f": HEADER + "\n-- include: g.py\n"}, "f.sql line 5: includes g.py, and there is no such file"),
        ({"f": HEADER + "-- requires: f\n"}, "f.sql: requires itself"),
    ],
)
def test_a_bad_file_is_named(tmp_path, texts, message):
    with pytest.raises(deploy.DeployError, match=message):
        deploy.read(tree_of(tmp_path, **texts))
