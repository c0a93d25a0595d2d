"""A small simulated night on its way through the database, as the workers would send it."""

from uuid import uuid4

import numpy as np
from psycopg2.extras import Json

from db.load import load
from pipelines.productions import simulated_sky as rows
from pipelines.simulate import orbits
from pipelines.simulate.detections import detect
from pipelines.simulate.places import position, shifted
from pipelines.simulate.sky import Parameters, make_sky, make_visits

SMALL = Parameters(objects=3000, transients=200, moving=15, variables=0.4, radius_deg=0.3, field_radius_deg=0.25,
                   detectors_across=2, spurious=3, cosmic_rays=2)  # fmt: skip


class Night:
    """Visits of one sky, and a connection to the database that they go to."""

    def __init__(self, session, parameters=SMALL, nights=1, per_night=6):
        self.session, self.parameters = session, parameters
        self.sky = make_sky(parameters)
        self.visits = make_visits(parameters, nights, per_night)
        self.ids = [int(one) for one in rows.visit_ids(self.visits)]

    def begin(self, objects=True):
        """Load what is there before the first Visit."""
        load(self.session, "level1.filter", rows.filters())
        load(self.session, "level1.detector", rows.detectors(self.parameters))
        if objects:
            load(self.session, "level1.object", rows.objects(self.sky))
        load(self.session, "level1.visit", rows.visits(self.visits, self.parameters))
        night = self.visits["night"]
        self.ask("SELECT hven.ensure_partitions(0, %s, %s)", int(night.min()), int(night.max()))

    def stage(self, index, part=slice(None), attempt=0):
        """Stage detections of a Visit, or part of them, as one job; return the job and the detections."""
        visit, found = self.visits[index], detect(self.sky, self.visits[index])
        found = found[part(found) if callable(part) else part]
        job = self.job()
        staged = rows.staged_dia_sources(found, visit, job_id=job)
        order = np.argsort(staged["dia_source_id"])
        staged = {name: column[order] for name, column in staged.items()}
        snaps = rows.staged_snaps(found, visit, job_id=job)
        for table in (staged, snaps):
            table["dia_source_id"] = table["dia_source_id"] + attempt
        return self.stage_rows(job, staged, snaps), found[order]

    def stage_rows(self, job, dia_sources, snaps=None, table="staging.dia_source"):
        """Load rows for a job and write what it did into its result; return the job."""
        reports = [load(self.session, table, dia_sources)]
        if snaps is not None:
            reports.append(load(self.session, "staging.dia_source_snap", snaps))
        self.finish(job, reports)
        return job

    def finish(self, job, reports):
        """Write what a job staged into its result."""
        result = {
            r.table: {"rows": r.rows, "xor_id": r.digest.id_xor, "xor_healpix29": r.digest.healpix29_xor}
            for r in reports
        }
        self.do("UPDATE queue.job SET state = 'done', result = %s WHERE job_id = %s", Json(result), job)

    def job(self, **parameters):
        """A running job."""
        self.do(
            "INSERT INTO queue.production (kind, name, software_version) VALUES ('alert', 'test', '0')"
            " ON CONFLICT DO NOTHING"
        )
        return self.ask(
            "INSERT INTO queue.job (production_id, kind, key, parameters, state)"
            " SELECT production_id, 'detector', %s, %s, 'running' FROM queue.production WHERE name = 'test'"
            " RETURNING job_id", f"detector {uuid4()}", Json(parameters)
        )  # fmt: skip

    def associate(self, index, jobs=None, **parameters):
        """Associate a Visit by its place in the night; return what it reports."""
        return self.associate_visit(self.ids[index], jobs, **parameters)

    def associate_visit(self, visit_id, jobs=None, **parameters):
        """Associate a Visit; return what it reports."""
        return self.ask("SELECT hven.associate_visit(%s, %s::bigint[], %s)", visit_id, jobs, Json(parameters))

    def run(self, index, part=slice(None), attempt=0, **parameters):
        """Stage and associate a Visit; return its detections and what association reports."""
        _, found = self.stage(index, part, attempt)
        return found, self.associate(index, **parameters)

    def alerts(self, index, **parameters):
        """Select the Alerts of a Visit; return what it reports."""
        return self.ask("SELECT hven.select_alerts(%s, %s)", self.ids[index], Json(parameters))

    def predict(self, index):
        """Enter where the moving objects are in a Visit, as predictions with errors of 0.1 arcsec."""
        vectors, *_ = orbits.directions(self.sky.moving, self.parameters.epoch, self.visits["midpoint_tai"][index])
        ra, dec = shifted(*position(vectors), *np.random.default_rng(index).normal(0, 0.1, (2, len(vectors))))
        ids = list(range(1, ra.size + 1))
        self.do("INSERT INTO level1.moving_object (moving_object_id, name)"
                " SELECT i, 'simulated ' || i FROM unnest(%s) i ON CONFLICT DO NOTHING", ids)  # fmt: skip
        self.do(
            "INSERT INTO level1.predicted_position (visit_id, moving_object_id, ra, dec, ra_err, dec_err, ra_dec_cov)"
            " SELECT %s, *, 0.1, 0.1, 0 FROM unnest(%s::bigint[], %s::float8[], %s::float8[])",
            self.ids[index], ids, ra.tolist(), dec.tolist()
        )  # fmt: skip

    def add_exposures(self, visits):
        """Enter the difference Exposures of the first Visits, without outlines."""
        self.do(
            "INSERT INTO level1.exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai,"
            " exposure_time) SELECT hven.pack_exposure_id(visit_id, d, 0, 2), visit_id, d, 0, 'difference',"
            " filter_id, midpoint_tai, 30"
            " FROM level1.visit, generate_series(0, %s) d WHERE visit_id = ANY (%s)",
            self.parameters.detectors_across**2 - 1, self.ids[:visits]
        )  # fmt: skip

    def do(self, statement, *values):
        """Run a statement."""
        with self.session.cursor() as cursor:
            cursor.execute(statement, values)

    def ask(self, query, *values):
        """First value of a query."""
        return self.rows(query, *values)[0][0]

    def rows(self, query, *values):
        """All rows of a query."""
        with self.session.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
