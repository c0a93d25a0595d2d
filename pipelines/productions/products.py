"""Products on request: stored files, exposures that are made again bit for bit, and cutouts."""

from pathlib import Path

from astropy.io import fits
from psycopg2.extensions import connection as Connection
from psycopg2.extras import RealDictCursor

from db.errors import HvenError
from db.files import FileStore, FileStoreError
from db.queries import queries
from db.software import Software, makes_the_same, software
from pipelines.image import Exposure, Psf, VaryingImage, Wcs, read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.instruments import instrument
from pipelines.pictures import draw_stages
from pipelines.productions import alert, stamps
from pipelines.productions.signature import assembled

LARGEST = 3600.0  # side of a cutout [arcsec]


class ProductError(HvenError):
    """A product can't be given."""

    exit_status = 19


class NoSuchProduct(ProductError):
    """There is no product of this name."""


def find_file(connection: Connection, store: FileStore, name: str) -> Path:
    """Return where a file lies, verified; made again if it is an exposure that was deleted.

    Parameters
    ----------
    name : str
        Checksum in hexadecimal, or the name that the file came with.
    """
    sha256 = bytes.fromhex(name) if len(name) == 64 and set(name) <= set("0123456789abcdef") else None
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("provenance")["file"], {"file_id": None, "sha256": sha256, "name": name})
        row = cursor.fetchone()
        if row is None:
            raise NoSuchProduct(f"get: no file is {name}", "give a sha256 or the name that a raw file came with")
        sha256 = bytes(row["sha256"])
        if _is_sound(store, sha256):
            return store.get(sha256)
        cursor.execute(queries("provenance")["exposure_of_file"], {"sha256": sha256})
        exposure = cursor.fetchone()
    if exposure is None:
        store.verify(sha256)  # says what is wrong with it
    return find_exposure(connection, store, exposure["exposure_id"])


def find_exposure(connection: Connection, store: FileStore, exposure_id: int) -> Path:
    """Return where an exposure's file lies, verified; a calibrated or difference exposure is made again if need be.

    Raises
    ------
    NoSuchProduct, ProductError, FileStoreError
        There is no such exposure; other software made it; its file is lost or has changed and can't be made.
    """
    recipe = _recipe(connection, exposure_id)
    recorded = bytes(recipe["sha256"]) if recipe["sha256"] else None
    if recorded and (_is_sound(store, recorded) or recipe["kind"] == "raw"):
        store.verify(recorded)  # a raw frame can't be made again
        return store.get(recorded)
    return store.get(_recreate(connection, store, recipe, recorded))


def cutout(
    connection: Connection, store: FileStore, place: tuple[float, float], size_arcsec: float, *,
    kind: str = "calibrated", band: str | None = None,
) -> bytes:
    """Return a FITS file with a square piece of the latest exposure over a place.

    Parameters
    ----------
    place : (float, float)
        ra and dec [deg, ICRS] of its centre; the piece is smaller where the exposure ends.
    size_arcsec : float
        Side of the square.
    kind : str
        calibrated or difference.
    band : str, optional
        Name of the filter; any by default.
    """
    if not (0 <= place[0] < 360 and -90 <= place[1] <= 90 and 0 < size_arcsec <= LARGEST):
        raise ProductError(
            f"get: cutout at ra {place[0]}, dec {place[1]} of {size_arcsec} arcsec; allowed are"
            f" ra from 0 to below 360 deg, dec from -90 to 90 deg, size above 0 and to {LARGEST:g} arcsec",
            "give degrees, and arcseconds for the size",
        )
    values = {"ra": place[0], "dec": place[1], "kind": kind, "band": band}
    with connection, connection.cursor() as cursor:
        cursor.execute(queries("provenance")["over"], values)
        row = cursor.fetchone()
    if row is None:
        raise NoSuchProduct(
            f"get: no {kind} exposure{f' in {band}' if band else ''} covers ra {place[0]}, dec {place[1]}",
            "ask for another place or band",
        )
    exposure = read_exposure(find_exposure(connection, store, row[0]))
    return exposure_bytes(_cut(exposure, place, size_arcsec), compress=False)


def draw(connection: Connection, store: FileStore, exposure_id: int, folder: Path) -> list[Path]:
    """Draw every stage of a detector as PNG: each raw Snap, the calibrated exposure, the template, the difference.

    They are made anew from the raw frames, with the software that is here.
    """
    recipe = _recipe(connection, exposure_id)
    if recipe["job_kind"] != "detector":
        raise ProductError(
            f"get: exposure {exposure_id} is a {recipe['kind']} one that no detector's job made, so it has no stages",
            "give the exposure_id of a calibrated or difference exposure",
        )
    with connection, connection.cursor() as cursor:
        sources = alert.inputs(cursor, recipe["production_id"], recipe["parameters"])
    camera, number = instrument(sources.camera), recipe["detector_id"]
    stages = {
        f"raw_snap{snap}": assembled(store.get(sha256), camera, number) for snap, sha256 in enumerate(sources.raw, 1)
    }
    images = alert.make_images(connection, store, sources, number)
    stages |= {"calibrated": images.calibrated, "template": images.template, "difference": images.difference}
    marks = {"calibrated": images.found[images.found["clean"]], "difference": images.dia_sources}
    return draw_stages(folder, stages, marks)


def _recipe(connection: Connection, exposure_id: int) -> dict:
    with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(queries("provenance")["recipe"], {"exposure_id": exposure_id})
        recipe = cursor.fetchone()
    if recipe is None:
        raise NoSuchProduct(f"get: there is no exposure {exposure_id}", "look for it in the table exposure")
    return recipe


def stamp(connection: Connection, store: FileStore, dia_source_id: int, kind: str = "difference") -> bytes:
    """Return the postage stamp of a DiaSource, a gzipped FITS file with image, mask, variance and WCS.

    Parameters
    ----------
    kind : str
        science, difference, difference_1 … (of a Snap) or template.
    """
    found = stamps.find(connection, store, dia_source_id)
    if kind not in found:
        allowed = f"allowed are {', '.join(found)}" if found else "and no other"
        raise NoSuchProduct(
            f"get: there is no stamp {kind} of DiaSource {dia_source_id}, {allowed}", "ask for a cutout of its place"
        )
    return found[kind]


def _is_sound(store: FileStore, sha256: bytes) -> bool:
    try:
        store.verify(sha256)
    except FileStoreError:
        return False
    return True


def _recreate(connection: Connection, store: FileStore, recipe: dict, recorded: bytes | None) -> bytes:
    """Make an exposure's file again and return its checksum."""
    what = f"{recipe['kind']} exposure {recipe['exposure_id']}"
    if recipe["job_kind"] != "detector":
        raise ProductError(f"get: the file of {what} is gone, and no job made it", "restore it from a backup")
    made_by = Software(recipe["software_version"], recipe["software_commit"], recipe["lock_sha256"] or "")
    if not makes_the_same(made_by):
        raise ProductError(
            f"get: {what} was made by {made_by}, and this is {software()}, which may give other bits",
            f"check out {made_by.software_commit or made_by.software_version} and ask that",
        )
    with connection, connection.cursor() as cursor:
        sources = alert.inputs(cursor, recipe["production_id"], recipe["parameters"])
    images = alert.make_images(connection, store, sources, recipe["detector_id"])
    stored = store.put(exposure_bytes(images.calibrated if recipe["kind"] == "calibrated" else images.difference))
    if recorded and stored.sha256 != recorded:
        raise ProductError(
            f"get: {what} made again is {stored.sha256.hex()}, and it was {recorded.hex()}",
            "report it: the same software should give the same bits",
        )
    return stored.sha256


def _cut(exposure: Exposure, place: tuple[float, float], size_arcsec: float) -> Exposure:
    """Return the square round a place, with WCS and PSF of its own."""
    x, y = (float(value) for value in exposure.wcs.pixel(*place))
    half = size_arcsec / 2 / float(exposure.wcs.pixel_scale(x, y))
    rows, columns = exposure.shape
    x_lo, x_hi = max(0, round(x - half)), min(columns, round(x + half) + 1)
    y_lo, y_hi = max(0, round(y - half)), min(rows, round(y + half) + 1)
    header = fits.Header(exposure.wcs.header, copy=True)
    header["CRPIX1"] -= x_lo
    header["CRPIX2"] -= y_lo
    pixels = exposure.pixels.segment((x_lo, x_hi, y_lo, y_hi))
    psf = exposure.psf and Psf(VaryingImage(exposure.psf.model.at(x, y)[None], pixels.shape), exposure.psf.oversampling)
    return exposure.with_(pixels=pixels, wcs=Wcs.from_header(header), psf=psf, valid_polygon=None)
