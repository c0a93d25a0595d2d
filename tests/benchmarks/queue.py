"""The queue: round trips beside procrastinate, latency, and how little a long queue and a long history cost.

Clients are processes with a connection each; a round trip claims a job and finishes it, each in a commit of its
own, as a worker does. Both peers work on one server, in databases of their own, in turns.
"""

import multiprocessing
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median, quantiles

from db import queue
from db.connect import connect, dsn
from db.files import FileStore
from db.queue import NewJob, Production
from migrations.upgrade import create, upgrade
from pipelines.worker import Kind, Stop, work
from tests.benchmarks import Measured, Result, in_turns
from tests.benchmarks.facts import production_server
from tests.benchmarks.peer import PeerMissing, peer_python

SIZES = {"night": 100_000, "survey": 1_000_000, "tiny": 1_000}
"""Jobs of the longest queue, all of which are then done."""
DATABASE, PEER = "level1_bench", "peer"
CLIENTS = (1, 4, 16)
GOALS = {4: 4.0}
ROUND_TRIPS = 2_000  # in one run; for procrastinate half of them
LATENCIES = 300
CLAIMS = 40  # at a look
LOOKS = 15  # at each length
FILL = (
    "INSERT INTO queue.job (production_id, kind, key, state)"
    " SELECT %s, 'nothing', 'lot ' || %s || ' job ' || n, 'ready' FROM generate_series(1, %s) AS n"
)
DO_SOME = """DO $$
    DECLARE taken record;
    BEGIN
        FOR n IN 1..1000 LOOP  -- the server counts dead rows, for autovacuum, after each statement
            SELECT * INTO taken FROM hven.claim_job('bench', ARRAY['nothing'], 60);
            EXIT WHEN NOT FOUND;
            COMMIT;
            PERFORM hven.finish_job(taken.job_id, taken.token, 'null');
            COMMIT;
        END LOOP;
    END $$"""
MORE = "SELECT EXISTS (SELECT FROM queue.job WHERE state = 'ready')"
SIZE = "SELECT pg_table_size('queue.job'), pg_indexes_size('queue.job'), pg_relation_size('queue.job_claim_idx')"


def run(jobs: int) -> Measured:
    """Measure."""
    peer = _peer()
    with production_server():
        for database in (DATABASE, PEER):
            create(database)
        upgrade(DATABASE)
        with closing(connect(DATABASE)) as session:
            with session, session.cursor() as cursor:
                production = queue.start_production(cursor, Production("user", "bench", "0"))
            scale = jobs / max(SIZES.values())
            results = _round_trips(session, production, peer, max(200, int(ROUND_TRIPS * min(1, scale * 10))))
            results += _latency(session, production)
            results += _long_queue(jobs)
            results += _history(session, production, jobs)
    return Measured({"jobs": jobs, "round trips a run": ROUND_TRIPS}, results)


def _peer() -> Path | None:
    try:
        return peer_python()
    except PeerMissing as error:
        print(f"without procrastinate: {error}", file=sys.stderr)
        return None


def _fill(session, production: int, jobs: int, lot: str) -> None:
    with session, session.cursor() as cursor:
        cursor.execute(FILL, [production, lot, jobs])


def _round_trips(session, production: int, peer: Path | None, jobs: int) -> list[Result]:
    def ours(clients: int) -> float:
        _fill(session, production, jobs, f"{clients} {time.monotonic()}")
        return 1 / drain(clients)

    def theirs(clients: int) -> float:
        # -P: this module must not pass for the standard library's queue.
        command = [str(peer), "-P", str(Path(__file__).with_name("procrastinate_clients.py")), dsn(PEER), str(clients),
                   str(jobs // 2)]
        return 1 / float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    results = []
    for clients in CLIENTS:
        candidates = {"ours": lambda clients=clients: ours(clients)}
        if peer:
            candidates["theirs"] = lambda clients=clients: theirs(clients)
        seconds = in_turns(candidates)
        results.append(Result(
            f"claim and finish, {clients} clients", 1 / seconds["ours"], "jobs/s", "procrastinate" if peer else None,
            1 / seconds["theirs"] if peer else None, goal=GOALS.get(clients) if peer else None,
        ))
    return results


def drain(clients: int) -> float:
    """Let clients claim and finish all that is ready; return jobs a second."""
    start = multiprocessing.get_context("fork")
    barrier, done = start.Barrier(clients + 1), start.Queue()
    processes = [start.Process(target=_client, args=(barrier, done)) for _ in range(clients)]
    for process in processes:
        process.start()
    barrier.wait()
    begin = time.perf_counter()
    counts = [done.get() for _ in processes]
    took = time.perf_counter() - begin
    for process in processes:
        process.join()
    return sum(counts) / took


def _client(barrier, done) -> None:
    with closing(connect(DATABASE)) as session, session.cursor() as cursor:
        session.autocommit = True
        barrier.wait()
        count = 0
        while job := queue.claim(cursor, "bench", ["nothing"]):
            queue.finish(cursor, job)
            count += 1
        done.put(count)


def _latency(session, production: int) -> list[Result]:
    """From the commit that enqueues to the first line of the job, one worker that has nothing else to do."""
    began: list[float] = []

    def nothing(connection, _store, job) -> None:
        began.append(time.perf_counter())
        with connection, connection.cursor() as cursor:
            queue.finish(cursor, job)

    stop, waits = Stop(), []
    worker = threading.Thread(target=work, args=({DATABASE: 1.0}, FileStore(Path())),
                              kwargs={"kinds": {"nothing": Kind(nothing)}, "stop": stop})
    worker.start()
    for number in range(LATENCIES):
        time.sleep(random.uniform(0.01, 0.05))
        with session, session.cursor() as cursor:
            queue.enqueue(cursor, production, [NewJob("nothing", f"latency {number}")])
        committed = time.perf_counter()
        while len(began) <= number:
            time.sleep(0.0002)
        waits.append(max(0.0, began[number] - committed) * 1e3)
    stop.asked = True
    worker.join()
    percentiles = quantiles(waits, n=100)
    return [
        Result("enqueue to start, median", median(waits), "ms"),
        Result("enqueue to start, p99", percentiles[98], "ms", goal=20, higher_is_better=False),
    ]


def _long_queue(jobs: int) -> list[Result]:
    """Time of a claim in queues of every length, each in a database of its own, in turns."""
    lengths = [10**power for power in range(3, 7) if 10**power <= jobs]
    with ExitStack() as stack:
        candidates = {}
        for length in lengths:
            database = f"{DATABASE}_{length}"
            create(database)
            upgrade(database)
            session = stack.enter_context(closing(connect(database)))
            with session, session.cursor() as cursor:
                production = queue.start_production(cursor, Production("user", "bench", "0"))
            _fill(session, production, length, "long")
            _vacuum(session, "ANALYZE")
            candidates[str(length)] = lambda session=session: _claim_time(session)
        times = in_turns(candidates, LOOKS)
    first = times[str(lengths[0])]
    return [
        Result(
            f"claim with {length:,} jobs ready", times[str(length)] * 1e3, "ms", f"{lengths[0]:,} ready", first * 1e3,
            goal=1.2 if length > lengths[0] else None, higher_is_better=False,
        )
        for length in lengths
    ]


def _claim_time(session) -> float:
    times = []
    session.autocommit = True
    with session.cursor() as cursor:
        for _ in range(CLAIMS):
            begin = time.perf_counter()
            queue.claim(cursor, "bench", ["nothing"])
            times.append(time.perf_counter() - begin)
    session.autocommit = False
    return median(times)


def _history(session, production: int, jobs: int) -> list[Result]:
    """Claim and finish many jobs; then compare the table's size with what a rewritten one has.

    The server does it by itself, four at a time, in the transactions that workers have: sizes are asked for here,
    not rates.
    """
    _fill(session, production, jobs, "history")
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(_do_all, range(4)))
    _vacuum(session, "")
    table, indexes, ready = _sizes(session)
    _vacuum(session, "FULL")
    least = sum(_sizes(session)[:2])
    return [
        Result(f"table after {jobs:,} jobs", table / 1e6, "MB"),
        Result(f"indexes after {jobs:,} jobs", indexes / 1e6, "MB"),
        Result("index of ready jobs, all done", ready / 1e6, "MB"),
        Result("table and indexes", (table + indexes) / 1e6, "MB", "rewritten", least / 1e6, goal=2.0,
               higher_is_better=False),
    ]


def _do_all(_: int) -> None:
    with closing(connect(DATABASE)) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(MORE)
        while cursor.fetchone()[0]:
            cursor.execute(DO_SOME)
            cursor.execute(MORE)


def _sizes(session) -> tuple[int, int, int]:
    with session, session.cursor() as cursor:
        cursor.execute(SIZE)
        return cursor.fetchone()


def _vacuum(session, option: str) -> None:
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute(f"VACUUM {option} queue.job")
    session.autocommit = False
