"""Register a template on an exposure better than their WCSs do, by the stars that both show."""

import numpy as np

from pipelines.image.varying import polynomial
from pipelines.steps.pointsource import fit_sources, weights

ERROR = 0.015  # pixels that a star's place is uncertain by beyond its photons
BRIGHTEST = 3000


def registration(exposure, template, detections, degree=5, min_snr=30.0):
    """Fit how far the template's stars are from where both WCSs put the exposure's.

    Parameters
    ----------
    exposure, template : Exposure
        Each on its own pixels, with PSF and WCS.
    detections : ndarray of DETECTION
        Of the exposure.
    degree : int
        Of the polynomial; lowered where there are fewer than 8 stars for each coefficient.

    Returns
    -------
    callable or None
        Gives (dx, dy) to add to template pixels for the exposure's pixels (x, y); None without enough stars.
    dict
        SDQA values: `registration_stars`, and `registration_scatter` [pixel] per axis of the brighter half.
    """
    stars = detections[detections["clean"] & (detections["snr"] > min_snr)][:BRIGHTEST]
    here = fit_sources(exposure.pixels.image, weights(exposure.pixels), exposure.psf, stars["x"], stars["y"])
    x, y = (np.where(np.isfinite(here[axis]), here[axis], stars[axis]) for axis in "xy")
    expected = np.stack(template.wcs.pixel(*exposure.wcs.sky(x, y)), axis=1)
    rows, columns = template.shape
    on = np.all((expected > 5) & (expected < [columns - 6, rows - 6]), axis=1) & np.isfinite(here["var_x"])
    x, y, expected, here = x[on], y[on], expected[on], here[on]
    there = fit_sources(template.pixels.image, weights(template.pixels), template.psf, *expected.T)
    shift = np.stack([there["x"], there["y"]], axis=1) - expected
    error = here["var_x"] + here["var_y"] + there["var_x"] + there["var_y"]
    good = np.isfinite(error) & (np.hypot(*shift.T) < 1.5)
    while degree > 0 and good.sum() < 4 * (degree + 1) * (degree + 2):
        degree -= 1
    if good.sum() < 8:
        return None, {"registration_stars": int(good.sum()), "registration_scatter": np.nan}
    weight = 1 / np.sqrt(np.where(good, error, 1) / 4 + ERROR**2)
    terms = polynomial(x, y, exposure.shape, degree).T
    for _ in range(4):
        solution = np.linalg.lstsq(terms[good] * weight[good, None], shift[good] * weight[good, None], rcond=None)[0]
        misfit = np.hypot(*(shift - terms @ solution).T) * weight
        good &= misfit < 4 * max(np.median(misfit[good]) / 1.18, 0.5)
    bright = good & (weight >= np.median(weight[good]))
    scatter = 1.4826 * np.median(np.abs((shift - terms @ solution)[bright]))

    def correction(to_x, to_y):
        moved = np.tensordot(solution.T, polynomial(to_x, to_y, exposure.shape, degree), axes=1)
        return moved[0], moved[1]

    return correction, {"registration_stars": int(good.sum()), "registration_scatter": float(scatter)}
