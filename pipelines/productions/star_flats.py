"""Star flats of a production: from the photometry of a field's stars to stored flats."""

import logging
from collections.abc import Mapping
from itertools import groupby

import numpy as np
from psycopg2.extensions import connection as Connection

from db.files import FileStore, StoredFile
from db.queries import queries
from pipelines.calibrate.masters import star_flat
from pipelines.image import read_exposure
from pipelines.image.files import exposure_bytes
from pipelines.steps.star_flat import LIGHT, NoStarFlat

log = logging.getLogger(__name__)


def make_star_flats(
    connection: Connection, store: FileStore, places: Mapping[int, str], light: Mapping[int, np.ndarray]
) -> dict[str, StoredFile]:
    """Store the star flat of each band and detector whose stars give one.

    Parameters
    ----------
    places : mapping of int to str
        Band and detector ("r 0") of each calibrated exposure.
    light : mapping of int to ndarray of LIGHT
        The stars of each exposure.
    """
    made = {}
    for place, group in groupby(sorted(places, key=places.get), places.get):
        keys = list(group)
        with connection, connection.cursor() as cursor:
            cursor.execute(queries("bootstrap")["pixels"], {"exposure_id": keys[0]})
            first = read_exposure(store.get(bytes(cursor.fetchone()[0])))
        try:
            flat = star_flat(first, np.concatenate([light[key] for key in keys]))
        except NoStarFlat as error:
            log.info("%s: %s", place, error)
        else:
            made[place] = store.put(exposure_bytes(flat, compress=False))
    return made


def light_of(exposure_id: int, columns: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return the aperture photometry of an exposure's stars that are in the mean catalogue.

    Parameters
    ----------
    columns : ndarray, shape (6, n)
        Place [pixel], its error, PSF flux, aperture flux and its error.
    number : ndarray of int
        Each star's number in the mean catalogue, -1 for none.
    """
    x, y, _, _, flux, error = columns
    used = (number >= 0) & (flux > 0)
    light = np.zeros(used.sum(), LIGHT)
    light["star"], light["exposure"], light["x"], light["y"] = number[used], exposure_id, x[used], y[used]
    light["magnitude"], light["error"] = -2.5 * np.log10(flux[used]), 1.0857 * error[used] / flux[used]
    return light
