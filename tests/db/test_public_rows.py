"""Which rows are public when, as docs/releases.md says it, is what the roles may do (R215)."""

from db.databases import ROOT
from db.rights import effective, own

KIND = {"level1": "level1", "a release being built or validated": "building",
        "a frozen or withdrawn release": "frozen", "a published release": "published"}  # fmt: skip


def told():
    """Yield kind of database, role, and whether the document says that it reads."""
    section = (ROOT / "docs" / "releases.md").read_text().split("## When rows become public")[1].split("\n\n")[1]
    for line in section.splitlines()[2:]:
        rows, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if rows in KIND:
            yield from ((KIND[rows], role, cells[place] == "yes") for place, role in enumerate(("public", "scientist")))


def test_the_document_says_what_the_roles_may_read():
    cases = list(told())
    assert len(cases) == 8
    for kind, role, reads in cases:
        enters = "CONNECT" in own(kind, "database").get(role, ())
        assert (enters and "SELECT" in effective(kind, "catalogue", role)) == reads, (kind, role)
