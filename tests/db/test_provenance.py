"""From an Exposure back to raw frames, over the template that it was subtracted from."""

from contextlib import closing
from types import SimpleNamespace

import pytest

from db import provenance, queue
from db.files import StoredFile, register
from db.ids import ExposureId, Kind, pack
from db.queue import NewJob, Production

VISIT = 4096 * 8000 + 7


def digest(name):
    return name.encode().ljust(32, b"\0")


@pytest.fixture
def chain(connection):
    """A difference ← raw and template; the template ← an older calibrated Exposure; that ← its raw frame and a flat."""
    with closing(connection.cursor()) as cursor:
        production = queue.start_production(cursor, Production("alert", "night", "1.2.3", "abc", "lock"))
        jobs = queue.enqueue(cursor, production, [NewJob("detector", "old"), NewJob("template", "sum"),
                                                  NewJob("detector", "new")])
        made = {"raw old": None, "flat": None, "calibrated old": "old", "template": "sum", "raw new": None,
                "difference": "new"}
        files = {name: register(cursor, StoredFile(digest(name), 1), "image/fits", name=name, job_id=jobs.get(job))
                 for name, job in made.items()}
        cursor.execute("INSERT INTO filter VALUES (1, 'r') ON CONFLICT DO NOTHING;"
                       "INSERT INTO detector VALUES (0, 'test', '0', 10, 10, 1) ON CONFLICT DO NOTHING;"
                       "INSERT INTO visit (visit_id, night, sequence, filter_id, snaps, detectors)"
                       " VALUES (%s, 8000, 7, 1, 1, 1)", [VISIT])
        ids = {}
        for name, kind, snap in (("calibrated old", Kind.CALIBRATED, 1), ("difference", Kind.DIFFERENCE, 0)):
            ids[name] = int(pack(ExposureId(VISIT, 0, snap, kind)))
            cursor.execute("INSERT INTO exposure (exposure_id, visit_id, detector_id, snap, kind,"
                           " filter_id, midpoint_tai, exposure_time, file_id, job_id)"
                           " VALUES (%s, %s, 0, %s, %s, 1, 58000, 15, %s, %s)",
                           [ids[name], VISIT, snap, kind.name.lower(), files[name], jobs[made[name]]])
        provenance.record(cursor, jobs["old"], "calibrated", "exposure", ids["calibrated old"],
                          {"raw": [digest("raw old")], "flat": [digest("flat")]})
        cursor.execute("INSERT INTO queue.provenance (job_id, step, product, product_id)"
                       " VALUES (%s, 'x', 'exposure', 5)", [jobs["old"]])
        coadd_of(cursor, files["template"], jobs["sum"])
        provenance.record(cursor, jobs["sum"], "template", "coadd", 1, {"calibrated": [digest("calibrated old")]})
        provenance.record(cursor, jobs["new"], "difference", "exposure", ids["difference"],
                          {"raw": [digest("raw new")], "template": [digest("template")]})
        yield SimpleNamespace(cursor=cursor, exposure=ids["difference"])


def coadd_of(cursor, file_id, job_id):
    """A row of `coadd` of these, whatever else it holds."""
    cursor.execute("ALTER TABLE coadd DISABLE TRIGGER ALL")
    cursor.execute("SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'coadd'::regclass"
                   " AND attnotnull AND attnum > 0 AND NOT atthasdef")
    needed = {name: "{}" if kind.endswith("[]") else "template" if name == "kind" else "1" for name, kind in cursor}
    row = needed | {"coadd_id": 1, "file_id": file_id, "job_id": job_id}
    cursor.execute(f"INSERT INTO coadd ({', '.join(row)}) VALUES %s", [tuple(row.values())])


def test_all_that_went_in_is_found_over_three_generations(chain):
    chain.cursor.execute("SELECT generation, role, file_name, made_by_step,"
                         " software_version || software_commit || lock_sha256 FROM hven.origins(%s)", [chain.exposure])
    assert chain.cursor.fetchall() == [
        (1, "raw", "raw new", "difference", "1.2.3abclock"), (1, "template", "template", "difference", "1.2.3abclock"),
        (2, "calibrated", "calibrated old", "template", "1.2.3abclock"),
        (3, "flat", "flat", "calibrated", "1.2.3abclock"), (3, "raw", "raw old", "calibrated", "1.2.3abclock"),
    ]


def test_the_view_shows_what_the_exposures_own_job_read(chain):
    chain.cursor.execute("SELECT role, file_name FROM exposure_provenance WHERE exposure_id = %s ORDER BY role",
                         [chain.exposure])
    assert chain.cursor.fetchall() == [("raw", "raw new"), ("template", "template")]
