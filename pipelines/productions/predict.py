"""NightMOPS: where known MovingObjects are in a Visit, by their orbits (LDM-151, 2.2)."""

import numpy as np
from psycopg2.extensions import connection as Connection

from db import queue
from db.files import FileStore
from db.queries import queries
from db.queue import Job
from pipelines.mops.kepler import ELEMENTS, ephemeris

REACH_DEG = 2.0  # from the boresight: the field's radius, and what header and orbit may be off


def predict(connection: Connection, _store: FileStore, job: Job) -> None:
    """Run the job `predict`: one query in, one statement out; finished in its commit."""
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("live")["pointing"], job.parameters)
        ra, dec, tai = cursor.fetchone()
        cursor.execute(queries("live")["orbits"])
        rows = cursor.fetchall()
        predicted = places(rows, (ra, dec), tai) if rows and ra is not None else {"ids": []}
        queue.fence(cursor, job)
        if predicted["ids"]:
            cursor.execute(queries("live")["save_predictions"], predicted | job.parameters)
        queue.finish(cursor, job, {"orbits": len(rows), "predicted": len(predicted["ids"])})


def places(rows: list[tuple], boresight: tuple[float, float], tai: float) -> dict[str, list]:
    """Return the columns of `predicted_position` for the orbits that stand near a boresight.

    Parameters
    ----------
    rows : list of tuple
        moving_object_id, the elements in the order of `ELEMENTS`, and the residual of the fit [arcsec] or None, which
        is taken for the error of each axis.
    boresight : (float, float)
        ra, dec [deg, ICRS].
    tai : float
        TAI, MJD.
    """
    ids = np.array([row[0] for row in rows], np.int64)
    found = ephemeris(np.array([row[1:-1] for row in rows], ELEMENTS), tai)
    near = np.flatnonzero(_distance_deg(found["ra"], found["dec"], *boresight) < REACH_DEG)
    return {
        "ids": ids[near].tolist(), "err": [rows[index][-1] for index in near],
        **{name: found[name][near].tolist() for name in ("ra", "dec", "ra_rate", "dec_rate")},
    }


def _distance_deg(ra, dec, ra0, dec0):
    ra, dec, ra0, dec0 = map(np.radians, (ra, dec, ra0, dec0))
    square = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(square)))
