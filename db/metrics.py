"""Quality metrics as data, and the gates that hold a stream or a release while one of them fails."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import yaml
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from db.errors import HvenError
from db.queries import queries

GATES = ("stream", "release")


class QualityError(HvenError):
    """The quality of something forbids what was asked, or is not known."""

    exit_status = 20


class QualityHold(QualityError):
    """A gate is shut: a metric that has it fails or was not measured."""


@cache
def metrics() -> list[dict]:
    """Return rows of sdqa_metric."""
    listed = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    keys = ("level", "unit", "better", "description")
    empty = dict.fromkeys(("minimum", "design", "stretch", "reference", "gate"))
    return [
        {"metric": name} | dict(zip(keys, entry, strict=False)) | empty | entry[4] for name, entry in listed.items()
    ]


def load(cursor: Cursor) -> int:
    """Bring sdqa_metric in line with the list; return how many rows changed. What is measured already is kept."""
    cursor.execute(queries("metrics")["load"], {"metrics": Json(metrics())})
    return cursor.rowcount


def hold(cursor: Cursor, gate: str, subjects: Collection[int]) -> None:
    """Pass a gate or raise.

    Parameters
    ----------
    gate : str
        stream or release.
    subjects : collection of int
        What is judged: exposure_ids and visit_id of a Visit, or the number of a release.

    Raises
    ------
    QualityHold
        Names what fails and was not accepted; for a release also what was not measured.
    """
    values = {"gate": gate, "subjects": list(subjects)}
    cursor.execute(queries("metrics")["failing"], values)
    faults = [_told(*row) for row in cursor]
    if gate == "release":
        cursor.execute(queries("metrics")["unmeasured"], values)
        faults += [f"{metric} was not measured" for (metric,) in cursor]
    if faults:
        said = f"gate {gate} is shut: {', '.join(faults)}"
        raise QualityHold(said, "mend the cause, or accept each by `hven quality accept METRIC SUBJECT`")


def accept(cursor: Cursor, metric: str, subject_id: int, reason: str) -> None:
    """Let a failing or unmeasured value pass its gate, in the name of whoever is logged in.

    Raises
    ------
    QualityError
        The metric holds nothing, or there is none of this name.
    """
    values = {"metric": metric, "subject_id": subject_id, "reason": reason}
    cursor.execute(queries("metrics")["accept"], values)
    if cursor.rowcount or any(row["metric"] == metric and row["gate"] for row in metrics()):
        return
    holding = ", ".join(row["metric"] for row in metrics() if row["gate"])
    raise QualityError(f"quality: {metric} holds nothing; allowed are {holding}", "name one of these")


def _told(metric: str, subject: int, value: float | None, unit: str) -> str:
    measured = "could not be measured" if value is None else f"is {value:g} {unit}".rstrip()
    return f"{metric} of {subject} {measured}"
