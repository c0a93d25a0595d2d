"""One Visit end to end: staging, association, and all that is written, in a catalogue of ten million Objects.

The floor is a COPY of the very rows that a Visit writes into the same indexed tables. The Objects that a Visit finds
again were seen in twelve earlier Visits, one a month.
"""

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from statistics import median

import numpy as np

from db.connect import connect
from migrations.upgrade import create, upgrade
from tests.benchmarks import Measured, Result, in_turns
from tests.benchmarks.apdb import compare
from tests.benchmarks.candidates import candidates
from tests.benchmarks.copies import copied
from tests.benchmarks.peer import PeerMissing, peer_python
from tests.benchmarks.visits import CENTRE, FIELD_DEG, FIRST_NIGHT, MONTHS, NEW, NIGHT, Sky, Survey, load_sky, make_sky

SIZES = {"1e7": 10_000_000, "million": 1_000_000, "tiny": 20_000}
"""Objects; a Visit has a thousandth of them as DiaSources."""
DATABASE = "level1_bench"
FINDING = ("open", "detections", "lock", "replace", "candidates", "predictions", "taken")
"""Steps of association that write nothing; with `solve` all that finds which detection is which Object."""
WRITTEN = {
    "dia_source": "SELECT * FROM level1.dia_source WHERE dia_source_id BETWEEN {first} AND {last}",
    "object": "SELECT o.* FROM level1.object o JOIN level1.dia_source d USING (object_id)"
              " WHERE d.dia_source_id BETWEEN {first} AND {last}",
    "object_flux": "SELECT f.* FROM level1.object_flux f JOIN level1.dia_source d USING (object_id, filter_id)"
                   " WHERE d.dia_source_id BETWEEN {first} AND {last}",
    "object_variability": "SELECT v.* FROM level1.object_variability v JOIN level1.dia_source d USING (object_id)"
                          " WHERE d.dia_source_id BETWEEN {first} AND {last}",
}  # fmt: skip
"""What a Visit wrote, table by table."""
LATER = 2048 << 31  # what makes the id of a measurement that of one 2,048 Visits later, in the same night
TWIN = 5  # what makes an object_id that of a twin which does not exist
FIELDS = [(CENTRE[0] + east, CENTRE[1] + north) for east in (-2.8, 2.8) for north in (-2.6, 2.6)]
"""Fields for four connections: they have no HEALPix pixel of order 6 in common."""
REVISITS = 6
AWAITED = "SELECT count(*) FROM hven.visits_to_await(%s, %s)"
BLOCKS = (
    "SELECT object_id, (ctid::text::point)[0], first_tai >= %s FROM level1.object WHERE object_id = ANY (%s) ORDER BY 1"
)


def build(objects: int) -> None:
    """Make a database with a year's history."""
    for database in ("hub", DATABASE):
        create(database)
        upgrade(database)
    sky = make_sky(objects)
    with closing(connect(DATABASE)) as session:
        load_sky(session, sky)
        survey = Survey(session, sky, per_visit(objects))
        for month in range(MONTHS):
            survey.run(FIRST_NIGHT + 30 * month, 1 + month)
        settle(session)


def measure(objects: int) -> Measured:
    """Measure, in a copy of the database, so that one that is kept stays as it is."""
    sky, detections = make_sky(objects), per_visit(objects)
    rows = {"objects": objects, "in the field": int(sky.within(CENTRE).size), "dia_sources": detections}
    results = []
    with copied(DATABASE) as database, closing(connect(database)) as session:
        survey = Survey(session, sky, detections)
        results += [*_end_to_end(survey), *candidates(survey, NIGHT + 1)]
        results += [*_hot(survey, NIGHT + 2, watched=False), *_hot(survey, NIGHT + 3, watched=True)]
        results += _four(database, sky, detections)
    try:
        results += compare(DATABASE, peer_python(), sky, detections)
    except PeerMissing as error:
        print(f"without lsst-dax-apdb: {error}", file=sys.stderr)
    return Measured(rows, results)


def per_visit(objects: int) -> int:
    """Detections of a Visit."""
    return max(objects // 1000, 100)


def settle(session) -> None:
    """Vacuum and analyse everything, and write it to disk."""
    session.commit()
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    session.autocommit = False


def _end_to_end(survey: Survey) -> list[Result]:
    visits, steps, numbers = [survey.run(NIGHT, 1)], [], count(2)

    def ours() -> float:
        visit, rows = survey.begin(NIGHT, next(numbers))
        begin = time.perf_counter()
        survey.stage(rows)
        steps.append({"staging": 1000 * (time.perf_counter() - begin)})
        steps[-1] |= survey.associate(visit)["milliseconds"]
        visits.append(visit)
        return time.perf_counter() - begin

    seconds = in_turns({"ours": ours, "floor": lambda: _copy_again(survey, visits[-1])}, runs=7)
    spent = {name.removeprefix("association_"): median(step[name] for step in steps) for name in steps[0]}
    finding = median(
        sum(step[name] for name in step if name.removeprefix("association_") in (*FINDING, "solve")) for step in steps
    )
    floor = "COPY of all rows written, same tables"
    return [
        Result("Visit: staging, association, all writes", 1000 * seconds["ours"], "ms", floor,
               1000 * seconds["floor"], goal=2.5, higher_is_better=False),
        Result("association alone: who is who", finding, "ms", floor, 1000 * seconds["floor"], 0.8, False),
        *(Result(f"step {name}", took, "ms") for name, took in sorted(spent.items(), key=lambda item: -item[1])),
    ]  # fmt: skip


def _copy_again(survey: Survey, visit: int) -> float:
    """Return how long a COPY of the rows that a Visit wrote takes [s], under other ids; then delete them."""
    session, packed = survey.session, {}
    with session.cursor() as cursor:
        cursor.execute("SELECT first, last FROM hven.visit_ids(%s)", [visit])
        first, last = cursor.fetchone()
        for table, query in WRITTEN.items():
            cursor.execute(f"CREATE TEMPORARY TABLE copy AS {query.format(first=first, last=last)}")
            own, step = ("dia_source_id", LATER) if table == "dia_source" else ("object_id", TWIN)
            cursor.execute(f"UPDATE copy SET {own} = {own} + {step}")
            packed[table] = io.BytesIO()
            cursor.copy_expert("COPY copy TO STDOUT (FORMAT binary)", packed[table])
            cursor.execute("CREATE TABLE twins AS SELECT object_id FROM copy" if table == "object" else "SELECT")
            cursor.execute("DROP TABLE copy")
    session.commit()
    begin = time.perf_counter()
    with session, session.cursor() as cursor:
        for table, rows in packed.items():
            rows.seek(0)
            cursor.copy_expert(f"COPY level1.{table} FROM STDIN (FORMAT binary)", rows, size=1 << 18)
    took = time.perf_counter() - begin
    with session, session.cursor() as cursor:
        cursor.execute(f"DELETE FROM level1.dia_source WHERE dia_source_id BETWEEN {first + LATER} AND {last + LATER}")
        for table in ("object_variability", "object_flux", "object"):
            cursor.execute(f"DELETE FROM level1.{table} WHERE object_id IN (SELECT object_id FROM twins)")
        cursor.execute("DROP TABLE twins")
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute("VACUUM level1.dia_source, level1.object, level1.object_flux, level1.object_variability")
    session.autocommit = False
    return took


def _hot(survey: Survey, night: int, *, watched: bool) -> list[Result]:
    """Shares of updates that stay in their page over revisits in a night, with or without a snapshot held open.

    No indexed column changes: an update is HOT if and only if the new row is in the old one's page.
    """
    survey.lasting = True
    known = survey.sky.object_id[survey.sky.variables(CENTRE, int(survey.detections * (1 - NEW)))].tolist()
    stayed: dict[bool, list[int]] = {False: [], True: []}
    with closing(connect(survey.database)) as watcher, closing(connect(survey.database)) as reader:
        watcher.set_session(isolation_level="REPEATABLE READ")
        if watched:
            with watcher.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM level1.visit")
        for number in range(1, REVISITS + 1):
            visit, rows = survey.begin(night, number)
            survey.stage(rows)
            before = _blocks(reader, night, known)
            survey.associate(visit)
            after = _blocks(reader, night, known)
            for one, other in zip(before, after, strict=True):
                stayed[one[2]].append(one[1] == other[1])
            known = [one[0] for one in _blocks(reader, night, survey.objects_of(visit))]
    survey.lasting = False
    settle(survey.session)
    old, every = np.mean(stayed[False]), np.mean(stayed[False] + stayed[True])
    how = "under one open snapshot" if watched else "without open snapshot"
    goals = (None, None) if watched else (0.99, 0.90)
    return [
        Result(f"HOT updates, {what}, {how}", float(share), "", goal=goal)
        for what, share, goal in zip(("Objects older than the night", "all"), (old, every), goals, strict=True)
    ]


def _blocks(session, night: int, object_ids: list[int]) -> list[tuple]:
    with session, session.cursor() as cursor:
        cursor.execute(BLOCKS, [50000.0 + night, object_ids])
        return cursor.fetchall()


def _four(database: str, sky: Sky, detections: int) -> list[Result]:
    """Four connections against one after the other, in fields apart and in one field."""
    numbers = count(1)
    with ExitStack() as stack:
        surveys = [Survey(stack.enter_context(closing(connect(database))), sky, detections) for _ in FIELDS]

        def drive(workers: int, centres) -> float:
            each = zip(surveys, centres, strict=True)
            lots = [survey.begin(NIGHT + 4, next(numbers), centre) for survey, centre in each]
            begin = time.perf_counter()
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(_work, surveys, lots))
            return time.perf_counter() - begin

        ways = {"apart": FIELDS, "one field": [CENTRE] * len(FIELDS)}
        for centres in ways.values():
            drive(1, centres)
        seconds = in_turns({
            (way, workers): lambda way=way, workers=workers: drive(workers, ways[way])
            for way in ways for workers in (1, len(FIELDS))
        })  # fmt: skip
    visits = {key: len(FIELDS) / took for key, took in seconds.items()}
    return [
        Result(f"four connections, {what}", visits[way, 4], "Visits/s", "one after the other", visits[way, 1], goal)
        for way, what, goal in (("apart", "fields apart", 1.5), ("one field", "one field, Visits in order", 0.95))
    ]


def _work(survey: Survey, lot: tuple[int, dict]) -> None:
    visit, rows = lot
    survey.stage(rows)
    while survey.ask(AWAITED, visit, FIELD_DEG * 3600):
        survey.session.commit()
        time.sleep(0.01)  # a worker sleeps until its job is free: asking more often takes the processor from the others
    survey.associate(visit)
