"""Fit an exposure's WCS: blind by astrometry.net, then position, scale and distortion to reference stars."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, Sip
from scipy.spatial import cKDTree

from pipelines.image import Wcs
from pipelines.image.varying import polynomial_terms
from pipelines.steps.conditions import BadInput
from pipelines.steps.psf import centre


class NoWcs(BadInput):
    """An exposure whose stars do not match the reference."""

    condition = "no_wcs"


@dataclass(frozen=True)
class WcsParams:
    """How the WCS is fitted.

    Parameters
    ----------
    degree : int
        Highest degree of the distortion; lowered where there are fewer than 3 stars for two coefficients.
    radius_arcsec : float
        Of the first match with the guessed WCS.
    clip : float
        Rejection limit in robust sigma.
    floor_arcsec : float
        Error that no position is below: the atmosphere's and the catalogue's.
    min_stars : int
    iterations : int
        Of matching and fitting.
    """

    degree: int = 3
    radius_arcsec: float = 5.0
    clip: float = 4.0
    floor_arcsec: float = 0.01
    min_stars: int = 5
    iterations: int = 6


def solve_blind(x, y, flux, shape, pixel_scale, boresight=None):
    """Find a WCS without a first guess by astrometry.net (Lang+ 2010), run as a separate program.

    Parameters
    ----------
    x, y, flux : ndarray
        Detections in pixels and counts.
    shape : tuple of int
        Rows and columns of the detector.
    pixel_scale : float
        Arcsec per pixel, good to 5 %.
    boresight : tuple of float, optional
        Pointing ra, dec in deg, good to 3 deg.

    Raises
    ------
    NoWcs
        Where the program is missing or finds no solution.
    """
    order = np.argsort(-flux)[:200]
    columns = [fits.Column(n, "E", array=v[order]) for n, v in (("X", x + 1), ("Y", y + 1), ("FLUX", flux))]
    with tempfile.TemporaryDirectory() as folder:
        fits.BinTableHDU.from_columns(columns).writeto(Path(folder, "stars.xyls"))
        options = {
            "--width": shape[1], "--height": shape[0], "--sort-column": "FLUX",
            "--scale-units": "arcsecperpix", "--scale-low": 0.95 * pixel_scale,
            "--scale-high": 1.05 * pixel_scale, "--tweak-order": 2, "--cpulimit": 30,
        }  # fmt: skip
        if boresight:
            options |= {"--ra": boresight[0], "--dec": boresight[1], "--radius": 3}
        words = [word for option in options.items() for word in option]
        command = ["solve-field", "stars.xyls", "--no-plots", "--crpix-center", *words]
        try:
            subprocess.run([str(word) for word in command], cwd=folder, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoWcs(
                f"solve_blind could not run solve-field ({error})",
                "apt-get install astrometry.net and an index of the right scale",
            ) from error
        solution = Path(folder, "stars.wcs")
        if not solution.exists():
            raise NoWcs(
                f"solve_blind found no WCS for {len(x)} detections at {pixel_scale:g} arcsec/pixel",
                "check the pixel scale of the instrument and that an index of this scale is installed",
            )
        return Wcs.from_header(fits.getheader(solution))


def nominal_wcs(observation, camera):
    """Return where a detector looks by its header's boresight: gnomonic, north up, east left, without distortion.

    Parameters
    ----------
    observation : Observation
        With its boresight.
    camera : Instrument
        Whose detectors tell the pixel of the optical axis.
    """
    cd = np.diag([-camera.pixel_scale, camera.pixel_scale]) / 3600
    return Wcs.tangent(*observation.boresight, *camera.detector(observation.detector).boresight, cd)


def match(x, y, reference, wcs, radius_arcsec):
    """Pair detections with reference stars, each other's nearest within a radius.

    Returns
    -------
    detected, referenced : ndarray of int
    """
    ref_x, ref_y = wcs.pixel(reference["ra"], reference["dec"])
    finite = np.flatnonzero(np.isfinite(ref_x + ref_y))
    radius = radius_arcsec / wcs.pixel_scale(np.median(x), np.median(y))
    there = np.stack([ref_x, ref_y], axis=1)[finite]
    here = np.stack([x, y], axis=1)
    if not len(there) or not len(here):
        return np.zeros(0, int), np.zeros(0, int)
    distance, nearest = cKDTree(there).query(here, distance_upper_bound=radius)
    _, back = cKDTree(here).query(there)
    pairs = np.flatnonzero(np.isfinite(distance))
    pairs = pairs[back[nearest[pairs]] == pairs]
    return pairs, finite[nearest[pairs]]


def fit_wcs(exposure, x, y, reference, guess, params=None, *, error=None):
    """Fit position, scale, rotation and distortion to reference stars.

    The gnomonic coordinates of the matched stars are polynomials of the pixel position, by least squares
    with clipping; written as TAN-SIP (Shupe+ 2005). The match is repeated with each better WCS and a
    smaller radius.

    Parameters
    ----------
    exposure : Exposure
    x, y : ndarray
        Detections in pixels.
    reference : ndarray of REFERENCE
    guess : Wcs
    params : WcsParams, optional
    error : ndarray, optional
        One-sigma errors of the detections' positions in arcsec; without them all weigh the same.

    Returns
    -------
    Exposure
        With the Wcs.
    dict
        SDQA values: n_stars, rms_east, rms_north [arcsec], and the indices `detected`, `referenced`.

    Raises
    ------
    NoWcs
    """
    params = params or WcsParams()
    wcs, radius = guess, params.radius_arcsec
    fitted = None
    for _ in range(params.iterations):
        detected, referenced = match(x, y, reference, wcs, radius)
        if len(detected) < params.min_stars:
            break
        stars = reference[referenced]
        weight = np.ones(len(detected)) if error is None else 1 / (error[detected] ** 2 + params.floor_arcsec**2)
        pairs = np.stack([x[detected], y[detected], stars["ra"], stars["dec"], weight])
        wcs, kept, residuals = fit_tan_sip(pairs, exposure.shape, params)
        rms = np.sqrt(np.mean(residuals[kept] ** 2, axis=0))
        radius = min(radius, max(5 * rms.max(), 0.05 * params.radius_arcsec))
        fitted = detected[kept], referenced[kept]
    if fitted is None:
        raise NoWcs(
            f"fit_wcs matched {len(detected)} of {len(x)} detections with {len(reference)} "
            f"reference stars within {radius:.1f} arcsec; it needs {params.min_stars}",
            "check the pointing and the reference catalogue, or solve blind",
        )
    report = {
        "n_stars": len(fitted[0]), "rms_east": rms[0], "rms_north": rms[1],
        "detected": fitted[0], "referenced": fitted[1],
    }  # fmt: skip
    note = f"wcs: {report['n_stars']} stars, rms {1000 * rms[0]:.1f} x {1000 * rms[1]:.1f} mas"
    return exposure.with_(note, wcs=wcs), report


def fit_tan_sip(pairs, shape, params):
    """Fit a TAN-SIP projection to pairs of pixel and sky positions.

    Parameters
    ----------
    pairs : ndarray, shape (5, n)
        x, y in pixels, ra, dec in deg, and weight.

    Returns
    -------
    Wcs
    ndarray of bool, shape (n,)
        The pairs that were kept.
    ndarray, shape (n, 2)
        Residuals east and north in arcsec, predicted − catalogue.
    """
    x, y, ra, dec, weight = pairs
    degree = max(d for d in range(1, params.degree + 1) if d == 1 or 3 * (d + 1) * (d + 2) <= 4 * len(x))
    centre_x, centre_y = centre(shape)
    scale = max(shape) / 2
    u, v = (x - centre_x) / scale, (y - centre_y) / scale
    terms = np.stack([u**i * v**j for i, j in polynomial_terms(degree)], axis=1)
    root = np.sqrt(weight / weight.mean())[:, None]
    tangent = np.array([ra[0], dec[0]])
    kept = np.ones(len(x), bool)
    for _ in range(6):
        plane = gnomonic(ra, dec, *tangent)
        coefficients = np.linalg.lstsq((root * terms)[kept], (root * plane)[kept], rcond=None)[0]
        residuals = 3600 * (terms @ coefficients - plane)
        size = root[:, 0] * np.hypot(*residuals.T)
        kept = size <= max(params.clip * np.median(size[kept]) / 1.1774, 1e-6)
        tangent = np.array(inverse_gnomonic(*coefficients[0], *tangent))  # where the middle pixel looks
    return _tan_sip(coefficients, degree, tangent, shape, scale), kept, residuals


def gnomonic(ra, dec, ra0, dec0):
    """Project ra, dec [deg] on the plane tangent at (ra0, dec0): east, north in deg, shape (n, 2)."""
    ra, dec, ra0, dec0 = (np.radians(v) for v in (ra, dec, ra0, dec0))
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    east = np.cos(dec) * np.sin(ra - ra0) / cosine
    north = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra - ra0)) / cosine
    return np.degrees(np.stack([east, north], axis=-1))


def inverse_gnomonic(east, north, ra0, dec0):
    """Return ra, dec [deg] of a point of the tangent plane [deg]."""
    east, north, ra0, dec0 = (np.radians(v) for v in (east, north, ra0, dec0))
    depth = np.cos(dec0) - north * np.sin(dec0)
    ra = ra0 + np.arctan2(east, depth)
    dec = np.arctan2(np.sin(dec0) + north * np.cos(dec0), np.hypot(east, depth))
    return np.degrees(ra) % 360, np.degrees(dec)


def _tan_sip(coefficients, degree, tangent, shape, scale):
    terms = polynomial_terms(degree)
    cd = np.stack([coefficients[terms.index((1, 0))], coefficients[terms.index((0, 1))]], axis=1) / scale
    forward = np.zeros((2, degree + 1, degree + 1))
    for (i, j), value in zip(terms, coefficients, strict=True):
        if i + j > 1:
            forward[:, i, j] = np.linalg.solve(cd, value) / scale ** (i + j)
    x, y = centre(shape)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if degree > 1 else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = tangent, [x + 1, y + 1], cd
    if degree > 1:
        inverse = _inverse_sip(forward, degree, shape)
        wcs.sip = Sip(*forward, *inverse, wcs.wcs.crpix)
    wcs.wcs.set()
    return Wcs.from_astropy(wcs)


def _inverse_sip(forward, degree, shape):
    """Fit the polynomials AP, BP that undo A, B over the detector; readers use them as a first guess."""
    x, y = centre(shape)
    v, u = np.meshgrid(np.linspace(-y, y, 20), np.linspace(-x, x, 20), indexing="ij")
    u, v = u.ravel(), v.ravel()
    powers = [(i, j) for i, j in polynomial_terms(degree)]
    shifts = [sum(plane[i, j] * u**i * v**j for i, j in powers) for plane in forward]
    uu, vv = u + shifts[0], v + shifts[1]
    scale = max(shape) / 2
    basis = np.stack([(uu / scale) ** i * (vv / scale) ** j for i, j in powers], axis=1)
    inverse = np.zeros_like(forward)
    for axis, target in enumerate((u - uu, v - vv)):
        for (i, j), value in zip(powers, np.linalg.lstsq(basis, target, rcond=None)[0], strict=True):
            inverse[axis, i, j] = value / scale ** (i + j)
    return inverse
