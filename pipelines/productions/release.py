"""A Data Release's jobs on exposures: what it is made with, its first jobs, and each exposure from raw to Sources.

The phases, each job a function of this module or of `release_sky`: `release_calibrate` each detector of each Visit →
`release_patches`, the plan of all that follows → `release_coadd` and `release_objects` each patch →
`release_difference` each detector → `release_dia_objects`, all DiaSources at once → `release_forced` each detector →
`release_index`, order, indexes and each Source's Object, partition by partition → `release_finish`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from db import queue
from db.build import Place
from db.errors import HvenError
from db.files import FileStore, register
from db.provenance import record
from db.queries import queries
from db.queue import Job, NewJob
from pipelines.image import Exposure, read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.image.masked import grow
from pipelines.instruments import instrument
from pipelines.productions import synthesis
from pipelines.productions.bootstrap import keep_calibrated
from pipelines.productions.detector import DetectorParams, first_wcs, recalibrate, sources
from pipelines.productions.ingest import field_radius_arcsec
from pipelines.productions.refcat import lookup
from pipelines.productions.signature import Masters, remove_signature
from pipelines.steps.background import subtract_background
from pipelines.steps.conditions import BadInput
from pipelines.steps.detect import detect, footprints
from pipelines.steps.psf import fit_psf
from pipelines.steps.snaps import combine_snaps, flag_cosmic_rays
from pipelines.steps.subtract import SubtractParams
from pipelines.steps.variance import scale_variance, smooth_variance

ATTEMPTS = 5
MINI = range(48, 64)
LIMITS = ("from_tai", "area", "inject")
"""Parameters of mini-DRs alone."""
SKY_BOX, HALO = 128, 3.0  # pixels: side of the sky's mesh, and what is left out round each detection
WELL_SAMPLED = 3.0  # pixels of FWHM, from which the kernel of the well sampled is used


class ParamsError(HvenError):
    """Parameters of a release that can't be used."""

    exit_status = 65


@dataclass(frozen=True)
class ReleaseParams:
    """The one set of parameters of a Data Release; stored with the production's row and in the hub.

    Parameters
    ----------
    release : int
        Number in the ids.
    cutoff_tai : float
        Visits until then go in [MJD].
    instrument : str
    reference : str
        Catalogue of `refcat` that WCS and zeropoints are fitted to.
    crosstalk : bool
        Is it still in the raw frames?
    fwhm : float
        First guess of the PSF's full width at half maximum [pixels].
    threshold : float
        Signal-to-noise ratio of a detection, on coadds and on differences.
    template_inputs : int
        The finest images of each place that go into a template; a deep coadd takes all.
    bands : str
        Order in which bands' detections make Objects, by the first letter; the others follow.
    match_arcsec : float
        Distance within which detections in two bands are one Object.
    dia_match_arcsec : float
        Distance within which DiaSources are of one Object.
    association : mapping
        Parameters of `associate_sources` that differ from the default.
    from_tai : float
        Visits before stay out [MJD]; of a mini-DR alone, as are:
    area : mapping
        ra, dec, radius_deg of the region; Visits that reach it go in. Empty: all.
    inject : mapping
        Synthetic objects: class, number, seed, options (`pipelines.synthetic`). Empty: none.
    """

    release: int
    cutoff_tai: float
    instrument: str
    reference: str
    crosstalk: bool = True
    fwhm: float = 4.0
    threshold: float = 5.0
    template_inputs: int = 15
    bands: str = "irzgyu"
    match_arcsec: float = 0.6
    dia_match_arcsec: float = 0.3
    association: Mapping[str, float] = field(default_factory=dict)
    from_tai: float = 0.0
    area: Mapping[str, float] = field(default_factory=dict)
    inject: Mapping = field(default_factory=dict)

    @property
    def detector(self) -> DetectorParams:
        """Parameters of the steps of one detector."""
        params = replace(DetectorParams(), fwhm=self.fwhm, threshold=self.threshold, aperture=1.5 * self.fwhm,
                         ring=None)  # fmt: skip
        return params if self.fwhm < WELL_SAMPLED else replace(params, subtraction=SubtractParams())


def params_of(release: int, cutoff_tai: float, given: Mapping) -> ReleaseParams:
    """Return parameters from what a file gives.

    Raises
    ------
    ParamsError
        Names what is missing or unknown.
    UnknownInstrument
    """
    allowed = [f.name for f in fields(ReleaseParams) if f.name not in ("release", "cutoff_tai")]
    unknown = [name for name in given if name not in allowed]
    missing = [name for name in ("instrument", "reference") if name not in given]
    if unknown or missing:
        raise ParamsError(
            f"release: the parameters have {', '.join(given) or 'nothing'}; "
            + (f"unknown: {', '.join(unknown)}; " if unknown else f"missing: {', '.join(missing)}; ")
            + f"allowed are {', '.join(allowed)}",
            "correct the file; instrument and reference must be in it",
        )
    camera, limited = instrument(given["instrument"]), [name for name in LIMITS if given.get(name)]
    if limited and release not in MINI:
        raise ParamsError(
            f"release: a Data Release got {', '.join(limited)}; it holds all of the survey, and nothing synthetic",
            "name it mini_…, or leave them out",
        )
    if given.get("inject"):
        synthesis.object_class(given["inject"])
        if not given.get("area"):
            raise ParamsError("release: synthetic objects need an area to be drawn in", "give --area RA,DEC,RADIUS")
    if area := given.get("area"):
        reach = 3600 * area["radius_deg"] + field_radius_arcsec(camera)
        given = dict(given) | {"area": dict(area) | {"reach_arcsec": reach}}
    return ReleaseParams(release, cutoff_tai, **given)


def settings(cursor, job: Job) -> ReleaseParams:
    """Return the parameters of the release that a job belongs to."""
    cursor.execute(queries("night")["production_parameters"], {"production_id": job.production_id})
    return ReleaseParams(**cursor.fetchone()[0])


def first_jobs(wanted: Sequence[Place], masters: Sequence[Mapping[str, str]]) -> list[NewJob]:
    """Return the jobs that can be named at the beginning: calibrate each place, then plan the rest."""
    calibrate = [
        place_job("release_calibrate", place.visit_id, place.detector_id, masters=dict(kinds))
        for place, kinds in zip(wanted, masters, strict=True)
    ]
    return [*calibrate, NewJob("release_patches", "patches", requires=[job.key for job in calibrate], priority=1)]


def place_job(kind: str, visit_id: int, detector_id: int, requires: Sequence[str] = (), **parameters) -> NewJob:
    """Return a job on one detector of one Visit."""
    parameters = {"visit_id": visit_id, "detector_id": detector_id} | parameters
    key = f"visit {visit_id} detector {detector_id} {kind}"
    return NewJob(kind, key, parameters, requires=requires, max_attempts=ATTEMPTS)


def calibrate(connection: Connection, store: FileStore, job: Job) -> None:
    """Run the job `release_calibrate`: raw Snaps to a calibrated exposure and its staged Sources."""
    place = job.parameters
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("night")["visit"], place)
        visit = dict(cursor.fetchone())
    with connection, connection.cursor() as cursor:
        params = settings(cursor, job)
        cursor.execute(queries("night")["raw_files"], place)
        raws = [bytes(sha256) for _, sha256, _ in cursor]
    masters = {kind: bytes.fromhex(sha256) for kind, sha256 in place["masters"].items()}
    for sha256 in (*raws, *masters.values()):
        store.verify(sha256)  # bits that have changed must not come into a release
    try:
        exposure = _sum_of_snaps(store, raws, masters, place["detector_id"], params)
        exposure, found = _characterised(connection, exposure, visit["midpoint_tai"], params)
        if params.inject:
            exposure = synthesis.add(connection, exposure, place["visit_id"], params.inject)
            found = detect(exposure, fwhm=params.fwhm)
    except BadInput as error:
        with connection, connection.cursor() as cursor:
            queue.fence(cursor, job)
            cursor.execute(queries("bootstrap")["set_condition"], place | {"condition": error.condition})
            queue.finish(cursor, job, {"condition": error.condition, "reason": str(error)})
        return
    inputs = {"raw": raws} | {kind: (sha256,) for kind, sha256 in masters.items()}
    measured = sources(exposure, found, params.detector)
    keep_calibrated(connection, store, job, visit, inputs, exposure, measured, params.release)


def _sum_of_snaps(
    store: FileStore, raws: Sequence[bytes], masters: Mapping[str, bytes], number: int, params: ReleaseParams
) -> Exposure:
    camera = instrument(params.instrument)
    known = Masters(**{kind: read_exposure(store.get(sha256)) for kind, sha256 in masters.items()})
    snaps = [remove_signature(store.get(raw), camera, number, known, crosstalk=params.crosstalk) for raw in raws]
    return combine_snaps(flag_cosmic_rays(snaps)) if len(snaps) > 1 else snaps[0]


def _characterised(connection: Connection, exposure: Exposure, midpoint_tai: float, params: ReleaseParams):
    """Return the exposure with PSF, WCS and zeropoint, and its detections."""
    camera, stars = instrument(params.instrument), lookup(connection, params.reference, midpoint_tai)
    exposure, _ = subtract_background(exposure)
    if params.fwhm >= WELL_SAMPLED:  # else stars are as narrow as what smooths
        exposure = exposure.with_(pixels=exposure.pixels.with_(variance=smooth_variance(exposure.pixels.variance)))
    exposure, _ = scale_variance(exposure)
    if params.fwhm >= WELL_SAMPLED:
        light = grow(footprints(exposure, params.fwhm), HALO)
        exposure, _ = subtract_background(exposure, SKY_BOX, light)
    found = detect(exposure, fwhm=params.fwhm)
    exposure, _ = fit_psf(exposure, found)
    guess = first_wcs(exposure, found, camera, params.detector, stars)
    return recalibrate(exposure.with_(wcs=guess), found, params.detector, stars), found


def read_calibrated(cursor, store: FileStore, place: Mapping, kind: str = "calibrated") -> Exposure | None:
    """Return a detector's exposure of a kind; None if it could not be made, which its raw exposure says."""
    cursor.execute(queries("build")["image"], {**place, "kind": kind})
    found = cursor.fetchone()
    return read_exposure(store.get(bytes(found[1]))) if found else None


def save_exposure(cursor, store: FileStore, job: Job, exposure: Exposure, row: dict, inputs: Mapping) -> None:
    """Store an exposure with its row and where it comes from, in the caller's transaction."""
    row["file_id"] = register(cursor, store.put(exposure_bytes(exposure)), "image/fits", job_id=job.job_id)
    cursor.execute(queries("night")["save_exposure"], row)
    record(cursor, job.job_id, job.kind, "exposure", row["exposure_id"], inputs)
