"""A simulated live night: frames released as they would be read, from raw Snaps to Alerts in the outbox.

Frames are drawn beforehand, with the times in their headers at which they are released. The second night loses a
worker (kill -9) each minute, and one detector in twenty is late.
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from astropy.time import Time

from db.connect import connect
from db.files import FileStore
from db.queries import queries
from db.queue import NewJob
from migrations.upgrade import create, upgrade
from pipelines import live_night
from pipelines.instruments import Instrument, instrument
from pipelines.live_night import Night
from pipelines.pool import PoolParams, running
from pipelines.productions import field as fields
from pipelines.productions.ingest import Complete, visit_jobs
from pipelines.simulate import frames
from pipelines.simulate.night import simulate_night
from pipelines.simulate.visits import READOUT, SNAP_SECONDS
from tests.benchmarks import Measured, Result
from tests.benchmarks.facts import production_server
from tests.benchmarks.subscriber import subscribed

WORKERS = 2
EVERY, LATE = 20, 75.0  # one detector in so many is late, by so many seconds
KILL = 60.0  # seconds between two workers' deaths
LIMIT = 60.0  # seconds from shutter close to the outbox
PATIENCE = 900.0  # seconds after the last frame in which the night must be done
ALERTS = """
SELECT a.dia_source_id, v.sequence, 86400 * (a.selected_tai - v.shutter_close_tai), (d.exposure_id >> 4 & 255)::integer,
       a.ivorn, v.shutter_close_tai
FROM alert AS a JOIN visit AS v USING (visit_id) JOIN outbox USING (dia_source_id, version)
JOIN dia_source AS d USING (dia_source_id)
WHERE a.version = 1 ORDER BY v.sequence
"""
JOBS = """
SELECT coalesce(avg(extract(epoch FROM finished - started)) FILTER (WHERE kind = 'detector'), 0)::float8,
       count(*) FILTER (WHERE kind = 'detector' AND state = 'done'),
       count(*) FILTER (WHERE state <> 'done'),
       (SELECT count(*) FROM visit WHERE state NOT IN ('associated', 'failed')),
       (SELECT count(*) FROM order_log WHERE pass > 1)
FROM queue.job
"""


@dataclass(frozen=True)
class Plan:
    """A night: its camera, its Visits, the seconds between them, and whether it is disturbed."""

    camera: str
    visits: int
    cadence: float = 39.0
    nights: tuple[bool, ...] = (False, True)


SIZES = {
    "full": Plan("simcam", 40), "calm": Plan("simcam", 40, nights=(False,)),
    "disturbed": Plan("simcam", 40, nights=(True,)), "short": Plan("simcam", 12), "small": Plan("simcam_1k", 12),
    "tiny": Plan("simcam_512", 4, 6.0, (True,)),
}


@dataclass
class Watch:
    """What is seen while the night runs: CPU seconds by worker, Visits that wait, how many workers were killed, and
    when each Alert reached an HTTP client, by IVORN [UNIX time]."""

    cpu: dict[int, float] = field(default_factory=dict)
    backlog: list[int] = field(default_factory=list)
    killed: int = 0
    arrivals: dict[str, float] = field(default_factory=dict)


def run(plan: Plan | int) -> Measured:
    """Measure."""
    plan = Plan("simcam", plan) if isinstance(plan, int) else plan
    results = []
    with production_server():
        for disturbed in plan.nights:
            results += _night(plan, disturbed)
    return Measured({"visits": plan.visits, "detectors": len(instrument(plan.camera).detectors)}, results)


def _night(plan: Plan, disturbed: bool) -> list[Result]:
    camera, database = instrument(plan.camera), f"level1_night_{'disturbed' if disturbed else 'quiet'}"
    create(database)
    upgrade(database)
    with TemporaryDirectory(prefix="hven-night-") as name:
        folder, store = Path(name), FileStore(Path(name, "store"))
        schedule = draw(plan, camera, folder)
        with closing(connect(database)) as session:
            fields.prepare(session, store, folder, camera)
            night = live_night.find_night(database, store)
            watch = _observe(session, night, schedule, folder, disturbed)
            return _judge(session, watch, disturbed)


def draw(plan: Plan, camera: Instrument, folder: Path) -> list[tuple[float, Path]]:
    """Draw all frames, for a night that begins when they will be there; return when each is read out (UNIX time)."""
    began = time.time()
    _write(camera, plan, _tai(began), folder / "rehearsal", 0)
    # Masters and templates take about as long as ten Visits; two processes are less than twice as fast as one.
    start = time.time() + 1.5 * (time.time() - began) * (10 + plan.visits) + 30
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        prepared = pool.apply_async(_write_field, (camera, plan, _tai(start), folder))
        work = [pool.apply_async(_write, (camera, plan, _tai(start), folder, n)) for n in range(plan.visits)]
        prepared.get()
        found = [frame for each in work for frame in each.get()]
    if time.time() > start - 20:
        raise RuntimeError(f"the frames took {time.time() - began:.0f} s to draw; the night begins without them")
    return sorted((_unix(closed) + READOUT, path) for closed, path in found)


def _tai(unix: float) -> float:
    return float(Time(unix, format="unix").tai.mjd)


def _unix(tai: float) -> float:
    return float(Time(tai, format="mjd", scale="tai").unix)


def _scene(camera: Instrument, plan: Plan, epoch: float):
    scene, visits = simulate_night(camera, seed=11, visits=plan.visits, epoch=epoch)
    return scene, [v.with_(midpoint_tai=epoch + v.number * plan.cadence / 86400) for v in visits]


def _write_field(camera: Instrument, plan: Plan, epoch: float, folder: Path) -> None:
    scene, visits = _scene(camera, plan, epoch)
    frames.write_field(folder, scene, visits[0])
    frames.write_calibrations(folder, camera)


def _write(camera: Instrument, plan: Plan, epoch: float, folder: Path, number: int) -> list[tuple[float, Path]]:
    """Draw one Visit; return when the shutter closed on each Snap [TAI, MJD], and its file."""
    scene, visits = _scene(camera, plan, epoch)
    paths = frames.write_visit(folder, scene, visits[number], camera, ("corrected",))
    middle = visits[number].midpoint_tai
    return [
        (middle + ((snap - 0.5) * (SNAP_SECONDS + READOUT) + SNAP_SECONDS / 2) / 86400, path)
        for snap, path in enumerate(paths)
    ]


def _observe(session, night: Night, schedule, folder: Path, disturbed: bool) -> Watch:
    """Release the frames on time, take them in, and keep workers at them until all jobs are done."""
    incoming, watch, over = folder / "incoming", Watch(), threading.Event()
    incoming.mkdir()
    jobs = _with_late_detectors if disturbed else visit_jobs
    pool = running(PoolParams({night.database: 1.0}, night.store.root, WORKERS))
    with (
        subscribed(night) as watch.arrivals, pool,
        _beside(_release, schedule, incoming), _beside(_look, night, watch, over, disturbed),
    ):  # fmt: skip
        taken = []
        for frame in live_night.take_in(night, incoming, watch=lambda: len(taken) < len(schedule), jobs=jobs):
            taken.append(frame)  # one that is refused counts too
        until = time.monotonic() + PATIENCE
        while _left(session, night) and time.monotonic() < until:
            time.sleep(1)
        over.set()
    return watch


@contextmanager
def _beside(what, *arguments) -> Iterator[None]:
    thread = threading.Thread(target=what, args=arguments)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _release(schedule, incoming: Path) -> None:
    for moment, path in schedule:
        time.sleep(max(0.0, moment - time.time()))
        path.rename(incoming / path.name)


def _left(session, night: Night) -> int:
    with session, session.cursor() as cursor:
        cursor.execute(queries("live")["left_to_do"], {"production_id": night.production_id})
        return cursor.fetchone()[0]


def _with_late_detectors(visit: Complete) -> list[NewJob]:
    """Return a Visit's jobs, one detector in twenty of which can't be begun for a while."""
    until = datetime.now(UTC) + timedelta(seconds=LATE)
    return [replace(job, run_after=until) if is_late(visit.visit_id & 4095, job) else job for job in visit_jobs(visit)]


def is_late(sequence: int, job: NewJob) -> bool:
    """Return whether a job is that of a late detector."""
    return job.kind == "detector" and (2 * sequence + job.parameters["detector_id"]) % EVERY == 1


def _look(night: Night, watch: Watch, over: threading.Event, disturbed: bool) -> None:
    """Note CPU and backlog each second; kill a worker now and then."""
    killed = time.monotonic()
    with closing(connect(night.database)) as session, session.cursor() as cursor:
        session.autocommit = True
        while not over.wait(1.0):
            cursor.execute("SELECT DISTINCT split_part(worker, ':', 2)::integer FROM queue.job WHERE worker <> ''")
            for (pid,) in cursor.fetchall():
                with suppress(OSError):
                    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                    watch.cpu[pid] = sum(map(int, used)) / os.sysconf("SC_CLK_TCK")
            cursor.execute("SELECT count(*) FROM visit WHERE state = 'ready'")
            watch.backlog.append(cursor.fetchone()[0])
            if disturbed and time.monotonic() - killed > KILL and _kill_one(cursor):
                watch.killed += 1
                killed = time.monotonic()


def _kill_one(cursor) -> bool:
    """Kill a worker that has a job in hand; return whether there was one."""
    cursor.execute("SELECT split_part(worker, ':', 2)::integer FROM queue.job WHERE state = 'running'")
    found = cursor.fetchall()
    if not found:
        return False
    with suppress(ProcessLookupError):
        os.kill(random.choice(found)[0], signal.SIGKILL)
    return True


def _judge(session, watch: Watch, disturbed: bool) -> list[Result]:
    with session, session.cursor() as cursor:
        cursor.execute(ALERTS)
        alerts = cursor.fetchall()
        cursor.execute(JOBS)
        seconds, detectors, undone, unended, second = cursor.fetchone()
    expected = [
        alert for alert in alerts
        if not disturbed or not is_late(alert[1], NewJob("detector", "", {"detector_id": alert[3]}))
    ]
    in_time = sorted(alert[2] for alert in expected)
    arrived = sorted(watch.arrivals.get(ivorn, float("inf")) - _unix(closed) for *_, ivorn, closed in expected)
    quarter = max(1, len(alerts) // 4)
    growth = _median([row[2] for row in alerts[-quarter:]]) - _median([row[2] for row in alerts[:quarter]])
    which = ", disturbed" if disturbed else ""
    below = {"higher_is_better": False}
    results = [
        Result(f"Alerts in the outbox within {LIMIT:.0f} s{which}", _share(in_time), "part", goal=0.98),
        Result(f"shutter close to outbox, p50{which}", _percentile(in_time, 0.5), "s"),
        Result(f"shutter close to outbox, p98{which}", _percentile(in_time, 0.98), "s", goal=LIMIT, **below),
        Result(f"shutter close to an HTTP client, p98{which}", _percentile(arrived, 0.98), "s", goal=LIMIT, **below),
        Result(f"latency, last quarter less first{which}", growth, "s", goal=10.0, **below),
        Result(f"Visits that wait, most{which}", max(watch.backlog, default=0), "visits"),
        Result(f"Alerts{which}", len(alerts), "alerts"),
        Result(f"jobs not done, Visits not ended{which}", undone + unended, "", goal=0, **below),
        Result(f"detector, wall{which}", seconds, "s"),
        Result(f"CPU of workers, per detector{which}", sum(watch.cpu.values()) / max(1, detectors), "s"),
    ]
    if disturbed:
        results += [
            Result("Alerts within 60 s, late detectors counted", _share([row[2] for row in alerts]), "part"),
            Result("late detectors taken up in a second pass", second, "passes"),
            Result("workers killed", watch.killed, ""),
        ]
    return results


def _share(seconds: list[float]) -> float:
    return sum(second < LIMIT for second in seconds) / max(1, len(seconds))


def _median(values: list[float]) -> float:
    return _percentile(sorted(values), 0.5)


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")
