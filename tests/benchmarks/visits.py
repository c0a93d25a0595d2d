"""Visits for benchmarks: Objects by the million in one cap, and detections of ten thousand of them.

Every column of a detection has a value. Four fifths lie about point-like Objects that the catalogue lists, the
same ones in each Visit of a field; the others lie anywhere in the field and become new Objects.
"""

from dataclasses import dataclass

import healpy
import numpy as np
from psycopg2.extras import Json

from db.ids import MeasurementId, ObjectId, VisitId, object_pixel, pack
from db.load import load, table_columns
from pipelines.simulate.places import projected, scattered, shifted, unit

FIELD_DEG = 1.75
SHARE = 0.084  # of the Objects that one field holds: 840,000 of ten million
CENTRE = (150.0, -20.0)
CAP_DEG = float(np.degrees(np.arccos(1 - (1 - np.cos(np.radians(FIELD_DEG))) / SHARE)))
NEW = 0.2
DETECTORS = 14  # across the field
ERR_ARCSEC = 0.05
FILTERS = 6
FIRST_NIGHT = 6300
MONTHS = 12  # of history, a Visit each
NIGHT = FIRST_NIGHT + 30 * MONTHS
"""The first night that is measured."""
NATIVE = {"int8": "i8", "int4": "i4", "int2": "i2", "float8": "f8", "float4": "f4", "bool": "?"}
BATCH = 500_000


@dataclass(frozen=True)
class Sky:
    """Objects in the order of healpix29."""

    object_id: np.ndarray
    healpix29: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    extended: np.ndarray

    def within(self, centre: tuple[float, float]) -> np.ndarray:
        """Indices of the Objects of a field."""
        pixels = healpy.query_disc(64, unit(*centre), np.radians(FIELD_DEG), inclusive=True, nest=True)
        bounds = np.searchsorted(self.healpix29, np.stack([pixels, pixels + 1]) << 46)
        near = np.concatenate([np.arange(*bound) for bound in bounds.T])
        return near[unit(self.ra[near], self.dec[near]) @ unit(*centre) >= np.cos(np.radians(FIELD_DEG))]

    def variables(self, centre: tuple[float, float], count: int) -> np.ndarray:
        """Indices of the Objects of a field that every Visit sees, point-like ones."""
        here = self.within(centre)
        here = here[~self.extended[here]]
        return np.sort(np.random.default_rng(1).choice(here, min(count, here.size), replace=False))


def make_sky(objects: int, cap_deg: float = CAP_DEG) -> Sky:
    """Draw Objects in a cap, half of them extended."""
    random = np.random.default_rng(151)
    ra, dec = scattered(objects, *CENTRE, cap_deg, random)
    pixel = healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
    order = np.argsort(pixel)
    ra, dec, pixel = ra[order], dec[order], pixel[order]
    place = object_pixel(pixel)
    ids = pack(ObjectId(0, place, np.arange(objects) - np.searchsorted(place, place)))
    return Sky(ids, pixel, ra, dec, random.uniform(size=objects) < 0.5)


def load_sky(session, sky: Sky) -> None:
    """Load the Objects, and the filters."""
    load(session, "level1.filter", {
        "filter_id": np.arange(1, FILTERS + 1, dtype="i2"), "name": np.array(list("ugrizy")),
        "effective_wavelength": np.full(FILTERS, 500, "f4"),
    })  # fmt: skip
    for first in range(0, sky.ra.size, BATCH):
        part = slice(first, first + BATCH)
        ra, dec = sky.ra[part], sky.dec[part]
        moment = np.where(sky.extended[part], 0.5, np.nan).astype("f4")
        load(session, "level1.object", {
            "object_id": sky.object_id[part], "ra": ra, "dec": dec, "healpix29": sky.healpix29[part],
            "mean_ra": ra, "mean_dec": dec, "ra_err": np.full(ra.size, 0.02, "f4"),
            "dec_err": np.full(ra.size, 0.02, "f4"), "ra_dec_cov": np.zeros(ra.size, "f4"),
            "extendedness": sky.extended[part].astype("f4"), "ixx": moment, "iyy": moment, "ixy": moment * 0,
        })  # fmt: skip
        session.commit()


class Survey:
    """Visits, one after the other, as workers send them, through one connection.

    Parameters
    ----------
    session : psycopg2 connection
    sky : Sky
    detections : int
        Of each Visit.

    Attributes
    ----------
    lasting : bool
        Whether what is new in a night's first Visit is seen in its others, so that nothing else is new in those.
    """

    def __init__(self, session, sky: Sky, detections: int):
        self.session, self.sky, self.detections, self.lasting = session, sky, detections, False
        self.database = session.info.dbname
        self.production = self.ask(
            "INSERT INTO queue.production (kind, name, software_version) VALUES ('alert', 'bench', '0')"
            " ON CONFLICT (name) DO UPDATE SET software_version = '0' RETURNING production_id"
        )
        session.commit()

    def ask(self, query: str, *values):
        """First value of a query."""
        with self.session.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()[0] if cursor.description else None

    def begin(self, night: int, sequence: int, centre: tuple[float, float] = CENTRE) -> tuple[int, dict]:
        """Enter a Visit; return its id and what its detectors will stage."""
        visit_id = int(pack(VisitId(night, sequence)))
        tai, band = 50000.3 + night + sequence * 40 / 86400, 1 + sequence % FILTERS
        self.ask("SELECT hven.ensure_partitions(0, %s, %s)", night, night)
        self.ask(
            "INSERT INTO level1.visit (visit_id, night, sequence, filter_id, snaps, detectors, midpoint_tai, ra, dec,"
            " state) VALUES (%s, %s, %s, %s, 1, %s, %s, %s, %s, 'ready')",
            visit_id, night, sequence, band, DETECTORS**2, tai, *centre
        )  # fmt: skip
        self.session.commit()
        return visit_id, self._detections(visit_id, tai, band, centre)

    def stage(self, rows: dict) -> None:
        """What the workers do: rows into staging, counts and digests into the job's result, one commit."""
        self.finish(int(rows["job_id"][0]), load(self.session, "staging.dia_source", rows))

    def finish(self, job: int, report) -> None:
        """Write what a job loaded into its result, and commit."""
        digest = {"rows": report.rows, "xor_id": report.digest.id_xor, "xor_healpix29": report.digest.healpix29_xor}
        self.ask("UPDATE queue.job SET state = 'done', result = result || %s WHERE job_id = %s",
                 Json({report.table: digest}), job)  # fmt: skip
        self.session.commit()

    def associate(self, visit_id: int) -> dict:
        """Associate a Visit and commit; return the report."""
        report = self.ask("SELECT hven.associate_visit(%s)", visit_id)
        self.session.commit()
        return report

    def run(self, night: int, sequence: int, centre: tuple[float, float] = CENTRE) -> int:
        """One whole Visit; return its id."""
        visit_id, rows = self.begin(night, sequence, centre)
        self.stage(rows)
        self.associate(visit_id)
        return visit_id

    def objects_of(self, visit_id: int) -> list[int]:
        """The Objects that a Visit saw."""
        return self.ask("SELECT array_agg(object_id) FROM hven.visit_ids(%s) i JOIN level1.dia_source d"
                        " ON d.dia_source_id BETWEEN i.first AND i.last", visit_id)  # fmt: skip

    def job(self) -> int:
        """A running job."""
        return self.ask(
            "INSERT INTO queue.job (production_id, kind, key, state, result) SELECT %s, 'detector', 'bench ' ||"
            " gen_random_uuid(), 'running', '{}' RETURNING job_id", self.production
        )  # fmt: skip

    def _detections(self, visit_id, tai, band, centre) -> dict:
        random = np.random.default_rng(visit_id)
        seen = self.sky.variables(centre, int(self.detections * (1 - NEW)))
        ra, dec = shifted(self.sky.ra[seen], self.sky.dec[seen], *random.normal(0, ERR_ARCSEC, (2, seen.size)))
        seed = np.random.default_rng(visit_id >> 12 if self.lasting else visit_id)
        new_ra, new_dec = scattered(self.detections - seen.size, *centre, FIELD_DEG, seed)
        ra, dec = np.append(ra, new_ra), np.append(dec, new_dec)
        detector, healpix29 = detectors(ra, dec, centre), healpy.ang2pix(1 << 29, ra, dec, nest=True, lonlat=True)
        order = np.lexsort([healpix29, detector])
        ra, dec, detector, healpix29 = ra[order], dec[order], detector[order], healpix29[order]
        count, rank = ra.size, np.arange(ra.size) - np.searchsorted(detector, detector)
        flux = random.normal(1000, 100, count)
        rows = {"ra": ra, "dec": dec, "healpix29": healpix29, "detector_id": detector.astype("i2"),
                "dia_source_id": pack(MeasurementId(0, visit_id, detector, 0, rank, 0)),
                "exposure_id": visit_id << 12 | detector << 4 | 2}  # fmt: skip
        same = {"visit_id": visit_id, "filter_id": band, "midpoint_tai": tai, "job_id": self.job(),
                "ra_err": ERR_ARCSEC, "dec_err": ERR_ARCSEC, "ra_dec_cov": 0, "extendedness": 0.02,
                "reliability": 0.95, "psf_flux": flux, "psf_flux_err": 10, "snr": flux / 10}  # fmt: skip
        self.session.commit()
        return full(self.session, "staging.dia_source", count, rows | same, random)


def detectors(ra, dec, centre) -> np.ndarray:
    """Number of the detector of each position of a field."""
    east, north = projected(ra, dec, *centre)
    side = 2 * np.degrees(np.tan(np.radians(FIELD_DEG))) * 3600 / DETECTORS
    row, column = (np.clip((part / side + DETECTORS / 2).astype(int), 0, DETECTORS - 1) for part in (north, east))
    return row * DETECTORS + column


def full(session, table: str, count: int, given: dict, random) -> dict:
    """Rows of a table with a value in every column: those given, numbers of noise, flags that are not set."""
    rows = {}
    for name, column in table_columns(session, table).items():
        kind = NATIVE.get(column.type)
        noise = np.zeros(count) if kind == "?" else random.normal(100, 20, count)
        if kind:
            rows[name] = np.broadcast_to(np.asarray(given.get(name, noise)), count).astype(kind)
    return rows
