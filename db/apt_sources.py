"""The machine's own apt sources, in both of their formats, and the backports stanza made from them."""

import re
from pathlib import Path

Stanza = dict[str, str]  # field of deb822 (lower case) → value as written, continuation lines included

ONE_LINE = re.compile(r"deb\s+(\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")
FIELD_OF_OPTION = {"arch": "architectures", "lang": "languages", "target": "targets"}
COPIED = ("uris", "signed-by", "architectures", "trusted", "check-valid-until")


def read_sources(apt: Path) -> list[Stanza]:
    """Return all enabled binary sources below an apt configuration folder (`/etc/apt`)."""
    found: list[Stanza] = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.is_file() and file.suffix in {".list", ".sources"}:
            parse = parse_deb822 if file.suffix == ".sources" else parse_one_line
            found += parse(file.read_text())
    return found


def parse_one_line(text: str) -> list[Stanza]:
    """Parse `deb [options] uri suite components` lines."""
    stanzas = []
    for line in text.splitlines():
        if match := ONE_LINE.match(line.split("#")[0].strip()):
            stanza = {"types": "deb", "uris": match["uri"], "suites": match["suite"]}
            stanza["components"] = match["components"]
            for option in (match["options"] or "").split():
                name, _, value = option.partition("=")
                stanza[FIELD_OF_OPTION.get(name.lower(), name.lower())] = value.replace(",", " ")
            stanzas.append(stanza)
    return stanzas


def parse_deb822(text: str) -> list[Stanza]:
    """Parse stanzas of `Field: value`, among them keys written into Signed-By over several lines."""
    stanzas = []
    for block in re.split(r"\n\s*\n", text):
        stanza: Stanza = {}
        field = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                stanza[field] += "\n" + line
            elif ":" in line:
                field, _, value = line.partition(":")
                field = field.strip().lower()
                stanza[field] = value.strip()
        enabled = stanza.get("enabled", "yes").lower() not in {"no", "false"}
        if enabled and "deb" in stanza.get("types", "").split():
            stanzas.append(stanza)
    return stanzas


def backports(sources: list[Stanza], codename: str) -> str | None:
    """Return a .sources stanza for `<codename>-backports` on the mirror of `codename`; None if there is one.

    Raises
    ------
    LookupError
        No source names the suite `codename` with the component main.
    """
    suite = f"{codename}-backports"
    if any(suite in source.get("suites", "").split() for source in sources):
        return None
    for source in sources:
        names = source.get("suites", "").split(), source.get("components", "").split()
        if codename in names[0] and "main" in names[1] and not source["uris"].startswith("cdrom:"):
            lines = ["Types: deb", f"Suites: {suite}", "Components: main"]
            lines += [f"{name.title()}: {source[name]}" for name in COPIED if name in source]
            return "\n".join(lines) + "\n"
    raise LookupError(f"no apt source of the suite {codename} with the component main")
