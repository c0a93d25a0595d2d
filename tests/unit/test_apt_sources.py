"""Reading apt sources in both formats, and the backports stanza made from them."""

import pytest

from db.apt_sources import backports, parse_deb822, parse_one_line, read_sources

ONE_LINE = """\
# deb http://a.example/debian bookworm main
deb-src http://a.example/debian bookworm main
deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/k.gpg] http://b.example/debian bookworm main non-free # x
"""

DEB822 = """\
Types: deb deb-src
URIs: http://c.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----

# off
Enabled: no
Types: deb
URIs: http://d.example/debian
Suites: bookworm
Components: main
"""


def test_one_line_format_keeps_options():
    (source,) = parse_one_line(ONE_LINE)
    assert source == {
        "types": "deb",
        "uris": "http://b.example/debian",
        "suites": "bookworm",
        "components": "main non-free",
        "architectures": "amd64 arm64",
        "signed-by": "/usr/share/keyrings/k.gpg",
    }


def test_deb822_format_skips_what_is_disabled():
    assert [source["uris"] for source in parse_deb822(DEB822)] == ["http://c.example/debian"]


def test_deb822_format_keeps_an_embedded_key():
    (source,) = parse_deb822(backports(parse_deb822(DEB822), "bookworm"))
    assert source["signed-by"] == parse_deb822(DEB822)[0]["signed-by"]


def test_backports_are_taken_from_the_same_mirror():
    assert backports(parse_one_line(ONE_LINE), "bookworm") == (
        "Types: deb\nSuites: bookworm-backports\nComponents: main\nUris: http://b.example/debian\n"
        "Signed-By: /usr/share/keyrings/k.gpg\nArchitectures: amd64 arm64\n"
    )


def test_no_stanza_if_backports_are_there():
    there = parse_one_line("deb http://a.example/debian bookworm-backports main")
    assert backports(parse_one_line(ONE_LINE) + there, "bookworm") is None


@pytest.mark.parametrize("line", ["deb cdrom:x bookworm main", "deb http://a.example bookworm contrib", ""])
def test_no_usable_mirror(line):
    with pytest.raises(LookupError, match="no apt source of the suite bookworm with the component main"):
        backports(parse_one_line(line), "bookworm")


def test_files_of_both_formats_are_read(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.list").write_text(ONE_LINE)
    (parts / "c.sources").write_text(DEB822)
    (parts / "d.sources.save").write_text(DEB822)
    assert [source["uris"][7] for source in read_sources(tmp_path)] == ["a", "b", "c"]
