"""Two users with twenty connections query while a night is ingested: neither waits for the other."""

import itertools
import multiprocessing
import os
import random
import threading
import time
from contextlib import closing, contextmanager
from functools import partial

import numpy as np
import psycopg2
import pytest

from db import users, watchdog
from db.connect import connect, dsn
from db.processes import slow_down
from federation import lanes, spaces
from federation.sessions import as_user
from federation.spaces import Terms
from migrations.upgrade import recreate
from pipelines.productions import demo
from pipelines.simulate.sky import make_sky, make_visits

PASSWORD = "Stjerneborg 1584"
USERS = ("kepler", "longomontanus")
CONNECTIONS = 10  # of each
DUTY = 0.6
SECONDS = float(os.environ.get("HVEN_LOAD_SECONDS", "300"))
TURN = min(30.0, SECONDS)  # seconds with scientists, and without
THINKING = 1.0  # seconds between one's queries, on average
SHORT = (
    "SELECT * FROM hven.sky_cone(NULL::object, {ra}, {dec}, 60)",
    "SELECT * FROM hven.light_curve((SELECT object_id FROM hven.sky_nearest(NULL::object, {ra}, {dec}, 600)))",
    "SELECT count(*) FROM alert WHERE visit_id = (SELECT max(visit_id) FROM order_log)",
    "SELECT s.* FROM favourites s JOIN object o USING (object_id) WHERE o.dia_sources > 3",
    "SELECT * FROM hven.exposures_covering({ra}, {dec}) LIMIT 5",
)
HEAVY = (
    "SELECT filter_id, count(*), avg(psf_flux), stddev(psf_flux) FROM dia_source GROUP BY 1",
    "SELECT count(*) AS pairs FROM hven.sky_crossmatch('object', 'object', 5)",
)


@pytest.fixture
def survey(hub):
    """An empty survey with visits to come, and two users who own a small table each."""
    recreate(demo.DATABASE)
    sky = make_sky(demo.PARAMETERS)
    visits = make_visits(demo.PARAMETERS, nights=60, per_night=60)
    demo.load_catalogue(sky, visits)
    for name in USERS:
        users.add(name, "level3", PASSWORD)
        spaces.open_space(name, demo.DATABASE, Terms(1 << 30))
        with closing(connect("postgres")) as session, session, session.cursor() as cursor:
            cursor.execute(f"ALTER ROLE {name} CONNECTION LIMIT {CONNECTIONS + 2}")
        with as_user(demo.DATABASE, name) as session, session.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE favourites AS SELECT object_id, 5 AS stars FROM object ORDER BY object_id LIMIT 500"
            )
    yield demo.observe(sky, visits)
    for name in USERS:
        with closing(connect(demo.DATABASE)) as session, session, session.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {name} CASCADE")
            cursor.execute(f"DROP ROLE hven_job_{name}")
        users.drop(name)


def night(visits, seconds, period=None):
    """Ingest Visits for so many seconds, one each period, as the watchdog looks; return how long each took [s]."""
    took, until = [], time.monotonic() + seconds
    with closing(connect(demo.DATABASE)) as session:
        while time.monotonic() < until:
            watchdog.let_nights_go_first(session)
            begin = time.monotonic()
            next(visits)
            took.append(time.monotonic() - begin)
            time.sleep(max((period or took[-1] / DUTY) - took[-1], 0))
    return np.array(took)


def ask(name, ended, took):
    """Ask short questions, with pauses to think."""
    rng = random.Random(threading.get_ident())
    with closing(psycopg2.connect(dsn(demo.DATABASE, name), password=PASSWORD)) as session, session.cursor() as cursor:
        session.autocommit = True
        for query in itertools.cycle(SHORT):
            if ended.wait(rng.expovariate(1 / THINKING)):
                return
            place = {"ra": 150 + rng.uniform(-1, 1), "dec": -2 + rng.uniform(-1, 1)}
            begin = time.monotonic()
            cursor.execute(query.format(**place))
            cursor.fetchall()
            took.append(time.monotonic() - begin)


def ask_much(name, ended):
    """Keep the long lane busy."""
    for query in itertools.cycle(HEAVY):
        if ended.is_set():
            return
        with as_user(demo.DATABASE, name) as session:
            lanes.submit(session, query, "long")
        lanes.serve_one(demo.DATABASE, ["long"])


def be_scientists(began, ended, told):
    """Let all connections ask, and the long lane work, until told to end; then tell how long each answer took [s]."""
    os.setsid()
    slow_down(os.getpid(), watchdog.NICE)  # their own machines are elsewhere
    took: list[float] = []
    work = [partial(ask, name, ended, took) for name in USERS for _ in range(CONNECTIONS - 1)]
    work += [partial(ask_much, name, ended) for name in USERS]
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    began.set()
    for thread in threads:
        thread.join()
    told.put(took)


@contextmanager
def scientists(took):
    """Let scientists work, in a process of their own as they would."""
    context = multiprocessing.get_context("spawn")
    began, ended, told = context.Event(), context.Event(), context.SimpleQueue()
    process = context.Process(target=be_scientists, args=(began, ended, told))
    process.start()
    began.wait(60)
    try:
        yield
    finally:
        ended.set()
        took += told.get()
        process.join()


@pytest.mark.long
def test_neither_waits_for_the_other(survey):
    """In turns of half a minute, with and without scientists, so that other work of the machine meets both alike."""
    warm = night(survey, min(SECONDS / 10, 20))  # plans are made, pages read
    period = float(np.percentile(warm[len(warm) // 2 :], 98)) / DUTY
    alone, beside, took = [], [], []
    for _ in range(max(round(SECONDS / TURN), 1)):
        alone.extend(night(survey, TURN, period))
        with scientists(took):
            beside.extend(night(survey, TURN, period))
    before, after = np.percentile(alone, 98), np.percentile(beside, 98)
    print(f"{len(took)} short queries, p95 {1000 * np.percentile(took, 95):.0f} ms;"
          f" {len(beside)} Visits, p98 {before:.3f} s alone, {after:.3f} s beside them;"
          f" p50 {np.median(alone):.3f} s, {np.median(beside):.3f} s")  # fmt: skip
    assert len(took) > SECONDS * len(USERS) * CONNECTIONS / THINKING / 3
    assert np.percentile(took, 95) < 0.2
    assert after < 1.2 * before
