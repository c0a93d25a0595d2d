"""Quality metrics as data, and the gates that hold a stream or a release while one of them fails."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import yaml
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from db.errors import HvenError
from db.queries import queries

GATES = {
    "stream": ("detector.pixels_usable", "detector.psf_fwhm", "detector.zeropoint_err", "detector.dia_source_density",
               "visit.detectors", "visit.dia_sources_rejected"),
    "release": ("release.photometric_repeatability", "release.astrometric_repeatability"),
}
"""Gate → metrics that hold it: a Visit's Alerts, or the publication of a release."""


class QualityHold(HvenError):
    """A gate is shut: a metric that it stands for fails or was not measured."""

    exit_status = 20


@cache
def metrics() -> list[dict]:
    """Return rows of sdqa_metric."""
    listed = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    keys = ("level", "unit", "better", "description")
    empty = dict.fromkeys(("minimum", "design", "stretch", "reference"))
    return [
        {"metric": name} | dict(zip(keys, entry, strict=False)) | empty | entry[4] for name, entry in listed.items()
    ]


def load(cursor: Cursor) -> int:
    """Bring sdqa_metric in line with the list; return how many rows changed. What is measured already is kept."""
    cursor.execute(queries("metrics")["load"], {"metrics": Json(metrics())})
    return cursor.rowcount


def hold(cursor: Cursor, gate: str, subjects: Collection[int], *, accepted: Collection[str] = ()) -> None:
    """Pass a gate or raise.

    Parameters
    ----------
    gate : str
        A key of `GATES`.
    subjects : collection of int
        What is judged: exposure_ids and visit_id of a Visit, or the number of a release.
    accepted : collection of str
        Metrics that a person has looked at and lets pass.

    Raises
    ------
    QualityHold
        Names what fails; for a release also what was not measured.
    """
    wanted = [metric for metric in GATES[gate] if metric not in accepted]
    cursor.execute(queries("metrics")["failing"], {"metrics": wanted, "subjects": list(subjects)})
    faults = [f"{metric} of {subject} is {value:g} {unit}".rstrip() for metric, subject, value, unit in cursor]
    if gate == "release":
        cursor.execute(queries("metrics")["unmeasured"], {"metrics": wanted, "subjects": list(subjects)})
        faults += [f"{metric} was not measured" for (metric,) in cursor]
    if faults:
        said = f"gate {gate} is shut: {', '.join(faults)}"
        raise QualityHold(said, "mend the cause, or accept these metrics by name")
