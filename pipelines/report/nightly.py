"""The report of a night: one HTML file in which every number stands beside the SQL that gives it."""

from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from db.errors import HvenError
from pipelines.report import Answer, ask, environment, figures

LATENCY_GOAL = 60.0  # seconds from the close of the shutter to the Alert

SECTIONS = (
    "overview", "found", "latency", "latencies", "visits", "conditions", "filters", "yield", "outliers", "health",
    "worst", "failing", "verdicts", "failures", "jobs", "feedback", "telemetry",
)
"""Queries of `report.sql`, in the order of the report."""


class ReportError(HvenError):
    """There is nothing to report."""

    exit_status = 22


@dataclass(frozen=True)
class Section:
    """A part of the report: an answer, and a figure of it."""

    name: str
    answer: Answer
    figure: str = ""
    folded: bool = False

    @property
    def is_facts(self) -> bool:
        """Whether it is one row, shown as names and values."""
        return self.name in {"overview", "found", "latency", "telemetry", "object", "orbit", "matched", "shift"}


def nightly_report(connection: Connection, night: int, title: str = "") -> str:
    """Return the report of a night as HTML.

    Parameters
    ----------
    connection : psycopg2 connection
        To a Science Database, as a scientist or with more rights.
    night : int
        The night's number: MJD of local noon − 50000.

    Raises
    ------
    ReportError
        There is no Visit of that night.
    """
    answers = {name: ask(connection, "report", name, night=night) for name in SECTIONS}
    if not answers["overview"].rows[0][0]:
        known = ", ".join(map(str, nights_known(connection))) or "none"
        raise ReportError(f"report: there is no Visit of night {night}", f"known are {known}")
    drawn = _figures(answers)
    sections = [Section(name, answers[name], drawn.get(name, ""), name in drawn) for name in SECTIONS]
    page = environment().get_template("night.html")
    return page.render(night=night, title=title or f"Night {night}", sections=sections, day=50000 + night)


def last_night(connection: Connection) -> int:
    """Return the number of the last night that has Visits."""
    nights = nights_known(connection)
    if not nights:
        raise ReportError("report: this database has no Visit", "let frames arrive first")
    return nights[0]


def nights_known(connection: Connection) -> list[int]:
    """Return the nights that have Visits, the latest first."""
    return ask(connection, "report_index", "nights").column("night")


def _figures(answers: dict[str, Answer]) -> dict[str, str]:
    drawn = {}
    visits, conditions, yielded = (answers[name] for name in ("visits", "conditions", "yield"))
    if visits.rows:
        drawn["visits"] = figures.sky_map(visits.column("ra"), visits.column("dec"), visits.column("filter"))
    if conditions.rows:
        drawn["conditions"] = figures.over_time(_hours(conditions), conditions.column("filter"), (
            ("FWHM [arcsec]", conditions.column("fwhm_arcsec"), False),
            ("zeropoint [mag]", conditions.column("zeropoint_mag"), False),
            ("depth [mag]", conditions.column("depth_mag"), False),
        ))
    if answers["latencies"].rows:
        drawn["latencies"] = figures.histogram(
            answers["latencies"].column("seconds"), "seconds from shutter close to Alerts", LATENCY_GOAL
        )
    if yielded.rows:
        unusual = set(answers["outliers"].column("visit_id"))
        drawn["yield"] = figures.yields(
            _hours(yielded), yielded.column("dia_sources"), yielded.column("alerts"),
            [visit in unusual for visit in yielded.column("visit_id")],
        )
    return drawn


def _hours(answer: Answer) -> list[float]:
    times = [float(time) if time is not None else float("nan") for time in answer.column("mjd")]
    return [24 * (time - min(times)) for time in times]
