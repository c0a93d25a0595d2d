"""What a release's own deep coadds are worth: depth, size of the PSF, and fluxes beside their inputs."""

from contextlib import closing
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from db.connect import connect
from pipelines.image import read_exposure
from pipelines.steps.detect import detect
from pipelines.steps.measure import force_photometry
from pipelines.steps.psf import centre, fit_psf

BLANK, CLEAR, APART = 8000, 15, 10  # places tried; pixels to the next detection, and to the next body of any flux
BORDER = 20  # pixels from an edge within which an input covers a place in part
DEEP = "SELECT coadd_id, filter_id, inputs, sha256 FROM coadd JOIN queue.file USING (file_id) WHERE kind = 'deep'"
INPUTS = """SELECT f.sha256 FROM coadd_input AS i JOIN exposure USING (exposure_id) JOIN queue.file AS f USING (file_id)
            WHERE i.coadd_id = %s ORDER BY 1"""
FLUXES = """
SELECT f.coadd_flux / (SELECT sum(s.psf_flux / s.psf_flux_err ^ 2) / sum(1 / s.psf_flux_err ^ 2) FROM forced_source AS s
                       WHERE s.object_id = f.object_id AND s.filter_id = f.filter_id AND NOT s.psf_flux_flag
                         AND NOT coalesce(s.pixel_flag_saturated OR s.pixel_flag_edge, false))
FROM object_flux AS f JOIN object AS o USING (object_id)
WHERE f.filter_id = %s AND f.coadd_flux > 200 * f.coadd_flux_err AND o.extendedness < 0.5 AND f.coadd_flux < 5e5
"""


@dataclass(frozen=True)
class Worth:
    """Of one deep coadd, as ratios to what is expected: noise on blank sky, the PSF's FWHM, stars' fluxes."""

    inputs: int
    noise: float
    noise_err: float
    fwhm: float
    flux: float
    flux_err: float


def _blank_noise(image, ra, dec, expected=1.0):
    """Noise of a pixel that PSF fluxes at blank places tell, as if it were white: their robust scatter by the PSF.

    In parts of the noise that is expected at each place.
    """
    flux, index = force_photometry(image, ra, dec)
    good = ~flux["psf_flux_flag"]
    parts = flux["psf_flux"][good] / np.broadcast_to(expected, ra.shape)[index[good]]
    breadth = np.sqrt(np.sum(image.psf.at(*np.rint(image.wcs.pixel(ra.mean(), dec.mean()))) ** 2))
    return 0.7413 * np.subtract(*np.percentile(parts, (75, 25))) * breadth


def _error(places, area, fwhm):
    """Error of a robust scatter: places that lie within a PSF's noise area of each other tell the same."""
    return float(1.17 * np.sqrt(1 / places + 2.27 * fwhm**2 / area))


def _blank(deep, detected, bodies):
    """Return ra and dec of places where nothing shines."""
    height, width = deep.shape
    places = np.random.default_rng(1).uniform(20, (width - 20, height - 20), (BLANK, 2))
    taken = ((detected["x"], detected["y"]), CLEAR), (deep.wcs.pixel(*bodies), APART)
    for where, apart in taken:
        known = np.stack(where, axis=1)
        places = places[cKDTree(known[np.isfinite(known).all(axis=1)]).query(places)[0] > apart]
    return deep.wcs.sky(*places.T)


def worth(name, store, bodies, fwhm=4.0):
    """Measure every deep coadd of a release; return one Worth each.

    `bodies` are ra and dec of all that shines: what stays below a coadd's threshold is no noise.
    """
    found = []
    with closing(connect(name)) as session, session.cursor() as cursor:
        cursor.execute(DEEP)
        for coadd_id, filter_id, number, sha256 in cursor.fetchall():
            deep = read_exposure(store.get(bytes(sha256)))
            cursor.execute(INPUTS, [coadd_id])
            inputs = [read_exposure(store.get(bytes(one))) for (one,) in cursor.fetchall()]
            middle = centre(deep.shape)
            detected = detect(deep, fwhm=fwhm, threshold=4.0)
            ra, dec = _blank(deep, detected, bodies)
            cover = np.array([_cover(one, ra, dec) for one in inputs])
            known = np.all(cover != 0, axis=0) & np.any(cover > 0, axis=0)
            ra, dec, cover = ra[known], dec[known], cover[:, known] > 0
            single = np.array([_blank_noise(one, ra[c], dec[c]) for one, c in zip(inputs, cover, strict=True)])
            noise = _blank_noise(deep, ra, dec, (single**-2 @ cover) ** -0.5)
            area = ra.size / BLANK * deep.pixels.image.size
            again, _ = fit_psf(deep.with_(psf=None), detected)
            cursor.execute(FLUXES, [filter_id])
            ratio = np.array([float(one) for (one,) in cursor.fetchall() if one])
            spread = 0.7413 * np.subtract(*np.percentile(ratio, (75, 25))) / np.sqrt(ratio.size)
            found.append(Worth(
                number, float(noise), _error(ra.size, area, deep.psf.fwhm(*middle)),
                float(deep.psf.fwhm(*middle) / again.psf.fwhm(*middle)), float(np.median(ratio)), float(1.25 * spread),
            ))  # fmt: skip
    return found


def _cover(image, ra, dec):
    """Return 1 where an input covers a place, -1 where it does not, 0 near its border."""
    x, y = image.wcs.pixel(ra, dec)
    inside = np.minimum.reduce([x, y, image.shape[1] - x, image.shape[0] - y])
    return np.sign(inside) * (np.abs(inside) > BORDER)
