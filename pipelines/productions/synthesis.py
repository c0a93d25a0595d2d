"""Synthetic objects of a mini Data Release: drawn at its beginning, added to each exposure once that is calibrated."""

from collections.abc import Mapping, Sequence
from importlib import import_module

import numpy as np
from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json

from db.errors import HvenError
from db.ids import ExposureId, Kind, pack
from db.queries import queries
from pipelines.image import Exposure
from pipelines.steps.inject import brightness_under, inject
from pipelines.synthetic import HOST, Drawn, ObjectClass, Region

KEYS = ("class", "number", "seed", "options")


class InjectionError(HvenError):
    """What is to be injected can't be made sense of."""

    exit_status = 65


def object_class(given: Mapping) -> ObjectClass:
    """Return the class that an injection file names, made with its options.

    Raises
    ------
    InjectionError
    """
    unknown = [key for key in given if key not in KEYS]
    if unknown or "class" not in given or not isinstance(given.get("number"), int):
        raise InjectionError(
            f"inject: got {', '.join(map(str, given)) or 'nothing'}; needed are class and number (a whole one), allowed"
            f" besides seed and options",
            "correct the file",
        )
    module, _, name = str(given["class"]).partition(":")
    try:
        return getattr(import_module(module), name)(**given.get("options", {}))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InjectionError(
            f"inject: {given['class']} can't be made ({error})",
            "name module:class, the module on PYTHONPATH, and options that it takes (pipelines.synthetic)",
        ) from error


def draw(given: Mapping, region: Region, hosts: np.ndarray) -> list[Drawn]:
    """Return the objects of an injection file; the same file, region and hosts give the same ones."""
    made = object_class(given)
    random = np.random.default_rng(given.get("seed", 0))
    return [made.draw(random, region, hosts) for _ in range(given["number"])]


def fill(live: Connection, mini: Connection, parameters: Mapping, times: Sequence[float]) -> int:
    """Draw the objects of a mini-DR and enter them, in the caller's transaction; return how many.

    Hosts are extended Objects of the live database; `times` are those of the Visits [TAI, MJD].
    """
    given, area = parameters.get("inject"), parameters["area"]
    if not given:
        return 0
    with live.cursor() as cursor:
        cursor.execute(queries("synthetic")["hosts"], area)
        hosts = np.array(cursor.fetchall(), HOST)
    region = Region(area["ra"], area["dec"], area["radius_deg"], min(times), max(times))
    drawn = draw(given, region, hosts)
    with mini.cursor() as cursor:
        cursor.execute(queries("synthetic")["save_objects"], {
            "object_class": given["class"], "ids": list(range(1, len(drawn) + 1)),
            "parameters": [Json(dict(one.parameters) | _place_of(one, hosts)) for one in drawn],
            "ra": [one.ra for one in drawn], "dec": [one.dec for one in drawn],
            "hosts": [None if one.host is None else int(hosts["object_id"][one.host]) for one in drawn],
        })  # fmt: skip
    return len(drawn)


def _place_of(one: Drawn, hosts: np.ndarray) -> dict[str, float]:
    if one.host is None:
        return {}
    return {f"host_{axis}": float(hosts[axis][one.host]) for axis in ("ra", "dec")}


def add(connection: Connection, exposure: Exposure, visit_id: int, given: Mapping) -> Exposure:
    """Add to a calibrated exposure what of the synthetic objects shines there, and enter what was added.

    The same exposure gets the same light whenever this is called.
    """
    made, seen = object_class(given), exposure.observation
    exposure_id = int(pack(ExposureId(visit_id, seen.detector, 0, Kind.CALIBRATED)))
    rows, columns = exposure.shape
    ra, dec = (float(v) for v in exposure.wcs.sky((columns - 1) / 2, (rows - 1) / 2))
    radius = float(np.hypot(rows, columns) * exposure.wcs.pixel_scale(columns / 2, rows / 2))
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("synthetic")["objects"], {"ra": ra, "dec": dec, "radius_arcsec": radius})
        found = cursor.fetchall()
    if not found:
        return exposure
    ids, ra, dec, parameters = zip(*found, strict=True)
    x, y = exposure.wcs.pixel(np.array(ra), np.array(dec))
    flux = np.array([made.flux(one, seen.band, seen.midpoint_tai) for one in parameters])
    shown = np.flatnonzero((flux > 0) & (x > -0.5) & (x < columns - 0.5) & (y > -0.5) & (y < rows - 0.5))
    ids, x, y, flux = np.array(ids)[shown], x[shown], y[shown], flux[shown]
    area = float(exposure.wcs.pixel_scale(columns / 2, rows / 2)) ** 2
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("synthetic")["save_sources"], {
            "exposure_id": exposure_id, "midpoint_tai": seen.midpoint_tai, "ids": ids.tolist(), "x": x.tolist(),
            "y": y.tolist(), "flux": flux.tolist(), "under": (brightness_under(exposure, x, y) / area).tolist(),
        })  # fmt: skip
    profiles = [made.profile(parameters[one]) for one in shown]
    return inject(exposure, x, y, flux, profiles, np.random.default_rng([given.get("seed", 0), exposure_id]))
