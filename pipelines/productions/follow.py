"""A second site's night: Visits are associated in the first site's order, each pass with the same detectors."""

from collections.abc import Sequence

from psycopg2.extensions import connection as Connection

from db import queue
from db.queries import queries
from db.queue import NewJob
from db.site import Association


def follow(connection: Connection, production_id: int, order: Sequence[Association]) -> int:
    """Enqueue the jobs of an order as far as the frames have come; return how many passes are new.

    What was enqueued before is left alone. A rerun, which has no detectors of its own, is not followed: the first
    site's rows are those of its last run, which the same frames give here at once.
    """
    passes = [one for one in order if one.detectors or one.number == 1]
    with connection, connection.cursor() as cursor:
        visit_ids = list({one.visit_id for one in passes})
        cursor.execute(queries("live")["ready_to_follow"], {"visit_ids": visit_ids})
        ready = {visit_id for (visit_id,) in cursor}
        cursor.execute(queries("live")["followed"], {"production_id": production_id})
        known = {key for (key,) in cursor}
        jobs, new, previous = [], 0, None
        for one in passes:
            if one.visit_id not in ready:
                break
            if _key(one) not in known:
                jobs += pass_jobs(one, previous)
                new += 1
            previous = one
        queue.enqueue(cursor, production_id, jobs)
    return new


def pass_jobs(one: Association, previous: Association | None) -> list[NewJob]:
    """Return the jobs of a pass: predictions in a Visit's first, its detectors, and its association after `previous`.

    Detectors that came late wait until their Visit has been associated without them.
    """
    parameters, name = {"visit_id": one.visit_id, "pass": one.number}, f"visit {one.visit_id}"
    first = [NewJob("predict", f"{name} predict", parameters, priority=2)] if one.number == 1 else []
    earlier = [_key(previous)] if previous else []
    before = [first[0].key] if first else [f"{name} associate"]
    measured = [
        NewJob("detector", f"{name} detector {number}", parameters | {"detector_id": number}, requires=before)
        for number in one.detectors
    ]
    associated = NewJob(
        "associate", _key(one), parameters, priority=1,
        requires=[*dict.fromkeys([*before, *(job.key for job in measured), *earlier])],
    )
    return [*first, *measured, associated]


def _key(one: Association) -> str:
    return f"visit {one.visit_id} associate" + (f" pass {one.number}" if one.number > 1 else "")
