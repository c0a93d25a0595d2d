"""Benchmarks: one shape for all, `./hven bench NAME`; what is fast is shown against a peer, side by side."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from statistics import median

BENCHMARKS = {
    "detector": "What a detector costs from raw Snaps to DiaSources, step by step, and how near it comes to the truth",
    "subtract": "What a subtraction costs beside sfft's, and how many false detections each has at equal hits",
    "ingest": "How fast the loader brings rows into staging and into dia_source",
    "lightcurve": "How fast one Object's light curve comes, over ten years of partitions",
    "search": "How fast a release's Objects are found in cones of four sizes",
    "associate": "How fast a Visit finds its Objects and is written, among ten million",
    "growth": "What the age of the survey, and the length of a night, costs a Visit",
    "release": "How fast a release's Sources are loaded in bulk, associated, put into order and indexed",
    "crossmatch": "How fast two tables are matched within an arcsecond",
    "checksum": "How fast a table is digested to be compared with another",
    "import": "How fast users' files become tables, what that takes, and how fast those are joined",
    "queue": "How fast jobs are claimed and finished, and what a long queue costs",
    "night": "How soon Alerts leave after the shutter closed, in a live night of simulated frames",
    "report": "How long the report of a night of 1,000 Visits takes",
    "alerts": "How fast the Alerts of a Visit are packed, archived and offered, and whether all are valid",
}
"""Name of a module here → what it measures.

Each has `SIZES`, its default first, and either `run(size) -> Measured`, or `build(size)`, which fills a server that
can be kept, and `measure(size) -> Measured`."""
RUNS = 5  # of each candidate at least, in turns


@dataclass(frozen=True)
class Result:
    """One figure, its peer's, and the goal for their ratio (above it if higher is better, else below).

    Parameters
    ----------
    what, unit : str
        What was measured and in which unit.
    peer : str or None
        Who else was measured, in the same unit and in turns with ours.
    goal : float or None
        Least `ratio` (or, for `higher_is_better` False, greatest); without a peer, of `value` itself.
    """

    what: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    goal: float | None = None
    higher_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """Value over the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached, None without one."""
        if self.goal is None:
            return None
        figure = self.value if self.ratio is None else self.ratio
        return figure >= self.goal if self.higher_is_better else figure <= self.goal

    def as_dict(self) -> dict:
        """Return the result in the shape that programs read."""
        fields = asdict(self) | {"ratio": self.ratio, "goal": self.goal, "met": self.met}
        shape = ("what", "value", "unit", "peer", "peer_value", "ratio", "goal", "met")
        return {name: fields[name] for name in shape}


@dataclass(frozen=True)
class Measured:
    """What one benchmark found: sizes of its data and its results."""

    rows: dict[str, int]
    results: list[Result]


def run(name: str, size: str | None = None, objects: int | None = None, keep: bool = False) -> dict:
    """Run a benchmark, at one of its sizes or with so many objects, and return its report."""
    from tests.benchmarks.facts import built_server, machine, versions

    module = import_module(f"tests.benchmarks.{name}")
    count = objects or module.SIZES[size or next(iter(module.SIZES))]
    if hasattr(module, "build"):
        with built_server(module.build, count, f"{name}-{count}" if keep else None):
            measured = module.measure(count)
    else:
        measured = module.run(count)
    return {
        "bench": name,
        "machine": machine(),
        "versions": versions(),
        "rows": measured.rows,
        "results": [result.as_dict() for result in measured.results],
    }


def in_turns(candidates: dict[str, Callable[[], float | None]], runs: int = RUNS) -> dict[str, float]:
    """Return the median time of each candidate [s], run in turns so that a slow spell hits all alike.

    A candidate that returns a number has measured itself: it is the time that counts.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(runs):
        for name, candidate in candidates.items():
            begin = time.perf_counter()
            own = candidate()
            times[name].append(time.perf_counter() - begin if own is None else own)
    return {name: median(found) for name, found in times.items()}


def as_json(report: dict) -> str:
    """Return the report as one line."""
    return json.dumps(report, separators=(",", ":"))
