"""Imports run one way: the folders are the architecture."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"db", "migrations", "udf", "pipelines", "federation", "tests", "hven_api"}
ALLOWED = {
    "db": {"db"},
    "udf": {"udf"},
    "migrations": {"db", "migrations", "udf"},
    "federation": {"db", "federation"},
    "pipelines": {"pipelines"},
    "pipelines/productions": {"db", "pipelines"},
    "pipelines/worker.py": {"db", "pipelines"},
    "pipelines/pool.py": {"db", "pipelines"},
    "pipelines/alerts": {"db", "pipelines"},
    "pipelines/real_night.py": {"db", "pipelines"},
    "pipelines/building.py": {"db", "pipelines"},
    "pipelines/live_night.py": {"db", "pipelines"},
    "pipelines/succeeding.py": {"db", "pipelines"},
    "pipelines/sdqa.py": {"db", "pipelines"},
    "pipelines/report": {"db", "pipelines"},
    "pipelines/cli": {"db", "migrations", "pipelines"},
}
"""Place → the rooms that it may import; the longest place that a module lies in counts."""

EVERYWHERE = "db.errors"
"""The root of all errors, which imports nothing."""

LAYERS = ("pipelines.image", "pipelines.steps", "pipelines.productions", "pipelines.worker", "pipelines.pool",
          "pipelines.building", "pipelines.real_night", "pipelines.live_night", "pipelines.succeeding")
"""Inside pipelines, each may import only those before it."""

IN_SERVER = {"numpy", "scipy", "healpy", "udf"}  # what lies in udf is pasted into the same body


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def allowed_for(module: str) -> set[str]:
    return ALLOWED[max((place for place in ALLOWED if module.startswith(place)), key=len)]


def layer(name: str) -> int:
    return next((n for n, prefix in enumerate(LAYERS) if f"{name}.".startswith(f"{prefix}.")), -1)


@pytest.mark.parametrize("room", ["db", "udf", "migrations", "federation", "pipelines"])
def test_rooms_import_only_what_they_may(room):
    wrong = [
        f"{module} imports {name}"
        for path in modules(room)
        for module in [str(path.relative_to(ROOT))]
        for name in imports(path)
        if name.split(".")[0] in ROOMS - allowed_for(module) and not name.startswith(EVERYWHERE)
    ]
    assert wrong == []


def test_layers_of_the_pipelines_import_downwards():
    wrong = [
        f"{module} imports {name}"
        for path in modules("pipelines")
        for module in [".".join(path.relative_to(ROOT).with_suffix("").parts)]
        for name in imports(path)
        if layer(name) > layer(module) >= 0
    ]
    assert wrong == []


def test_server_functions_import_only_what_the_server_has():
    import sys

    known = sys.stdlib_module_names | IN_SERVER
    bodies = [path for path in modules("udf") if path.with_suffix(".sql").exists()]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in bodies
        for name in imports(path)
        if name.split(".")[0] not in known
    ]
    assert wrong == []


def test_a_wrong_import_is_found(tmp_path):
    module = tmp_path / "wrong.py"
    module.write_text("def f():\n    from udf.deploy import deploy\n")
    assert "udf.deploy.deploy" in set(imports(module))
