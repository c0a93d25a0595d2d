"""Measure Sources on direct exposures and DiaSources on differences, in the units of the catalogue."""

import numpy as np
import sep

from pipelines.image import VaryingImage, bits
from pipelines.image.varying import polynomial
from pipelines.steps.local_sky import local_sky
from pipelines.steps.pointsource import fit_sources, fit_together, forced_flux, weights
from pipelines.steps.shape import extendedness, measure_shapes

NARROW = 2.8  # pixels of FWHM, below which a star's pixels do not tell how the PSF varies
STAR = 4.0  # times the sky's variance, which the model's errors make of a difference's on bright stars
PIXEL_FLAGS = {  # column: mask planes that raise it
    "pixel_flag_bad": ("BAD",),
    "pixel_flag_saturated": ("SAT", "SAT_TEMPLATE"),
    "pixel_flag_cosmic_ray": ("CR",),
    "pixel_flag_interpolated": ("INTRP",),
    "pixel_flag_edge": ("EDGE",),
    "pixel_flag_suspect": ("SUSPECT",),
    "pixel_flag_streak": ("STREAK",),
    "pixel_flag_injected": ("INJECTED",),
    "pixel_flag_no_data": ("NO_DATA",),
}

COMMON = [
    ("ra", "f8"), ("dec", "f8"), ("ra_err", "f4"), ("dec_err", "f4"), ("ra_dec_cov", "f4"),
    ("x", "f4"), ("y", "f4"), ("x_err", "f4"), ("y_err", "f4"),
    ("ixx", "f4"), ("iyy", "f4"), ("ixy", "f4"), ("ixx_err", "f4"), ("iyy_err", "f4"), ("ixy_err", "f4"),
    ("raw_flux", "f4"), ("raw_flux_err", "f4"), ("psf_flux", "f4"), ("psf_flux_err", "f4"),
    ("ap_flux", "f4"), ("ap_flux_err", "f4"), ("photo_calib", "f4"), ("photo_calib_err", "f4"),
    ("snr", "f4"), ("extendedness", "f4"),
    ("centroid_flag", "?"), ("psf_flux_flag", "?"), ("ap_flux_flag", "?"), ("shape_flag", "?"),
    *((name, "?") for name in PIXEL_FLAGS), ("pixel_flag_saturated_center", "?"),
]  # fmt: skip
SOURCE = np.dtype([*COMMON, ("ap_radius", "f4"), ("residual_chi2", "f4")])
DIA_SOURCE = np.dtype([
    *COMMON, ("psf_chi2", "f4"), ("science_flux", "f4"), ("science_flux_err", "f4"), ("template_flux", "f4"),
    ("template_flux_err", "f4"), ("dipole_separation", "f4"), ("dipole_angle", "f4"), ("is_dipole", "?"),
    ("reliability", "f4"), ("reliability_version", "i2"),
])  # fmt: skip
"""Rows as the catalogue's tables of these names have them; NaN where something was not measured."""
SNAP = np.dtype([
    ("snap", "i2"), ("x", "f4"), ("y", "f4"), ("psf_flux", "f4"), ("psf_flux_err", "f4"), ("snr", "f4"),
    ("psf_flux_flag", "?"), ("cosmic_ray_like", "?"),
    *((f"pixel_flag_{name}", "?") for name in ("bad", "saturated", "cosmic_ray", "edge")),
])  # fmt: skip
RAY_SHARE, RAY_SIGMA = 0.5, 5.0
"""A Snap's flux is a cosmic ray's if it differs from the Visit's by more than this share, and so many sigma."""
FORCED = np.dtype([
    ("ra", "f8"), ("dec", "f8"), ("x", "f4"), ("y", "f4"), ("psf_flux", "f4"), ("psf_flux_err", "f4"),
    ("psf_flux_flag", "?"),
    *((name, "?") for name in PIXEL_FLAGS if name not in ("pixel_flag_interpolated", "pixel_flag_suspect")),
])  # fmt: skip


def measure_dia_sources(difference, science, template, peaks):
    """Measure the detections of a difference image.

    Parameters
    ----------
    difference : Exposure
        With WCS, PSF and PhotoCalib.
    science, template : Exposure
        On the same pixels, for the fluxes at the same places.
    peaks : ndarray of PEAK

    Returns
    -------
    ndarray of DIA_SOURCE, as long as `peaks`
        `snr` is the detection's, positive for either sign.
    """
    rows = np.zeros(len(peaks), DIA_SOURCE)
    weight = weights(difference.pixels)
    fitted = fit_sources(difference.pixels.image, weight, difference.psf, peaks["x"], peaks["y"])
    _common(rows, difference, weight, fitted, peaks["x"], peaks["y"])
    rows["extendedness"] = extendedness(difference.pixels.image, weight, difference.psf, rows["x"], rows["y"])
    rows["snr"] = np.abs(peaks["snr"])
    rows["psf_chi2"] = fitted["chi2"] / np.maximum(fitted["pixels"] - 3, 1)
    for name, exposure in (("science", science), ("template", template)):
        flux, error = forced_flux(exposure.pixels.image, weights(exposure.pixels), exposure.psf, rows["x"], rows["y"])
        factor = exposure.photo_calib.nanojansky_per_count
        rows[f"{name}_flux"], rows[f"{name}_flux_err"] = flux * factor, error * factor
    for name in ("dipole_separation", "dipole_angle", "reliability"):
        rows[name] = np.nan
    return rows


def measure_sources(exposure, detections, aperture=None, ring=None):
    """Measure the Sources of a calibrated exposure: point sources together, apertures and moments each by itself.

    Parameters
    ----------
    exposure : Exposure
        Without sky, with WCS, PSF and PhotoCalib.
    detections : ndarray of DETECTION
    aperture : float, optional
        Radius in pixels of the aperture flux; 1.5 FWHM by default.
    ring : tuple of float, optional
        Inner and outer radius in pixels of the ring whose sky is taken off the aperture's; none by default.

    Returns
    -------
    ndarray of SOURCE, as long as `detections`
    """
    rows = np.zeros(len(detections), SOURCE)
    weight = weights(exposure.pixels)
    x, y = detections["x"], detections["y"]
    fitted, residual, removed = fit_together(exposure.pixels.image, weight, exposure.psf, x, y)
    radius = _common(rows, exposure, weight, fitted, x, y, aperture, ring)
    rows["extendedness"] = extendedness(residual, weight, exposure.psf, rows["x"], rows["y"], removed)
    rows["snr"] = np.abs(fitted["flux"]) / np.sqrt(fitted["var_flux"])
    rows["ap_radius"] = radius
    rows["residual_chi2"] = fitted["chi2"] / np.maximum(fitted["pixels"] - 3, 1)
    return rows


def _common(rows, exposure, weight, fitted, x_peak, y_peak, aperture=None, ring=None):
    """Fill the columns that every kind of measurement has; return the aperture radius in arcsec."""
    failed = ~np.isfinite(fitted["var_x"])
    x = np.where(failed, x_peak, fitted["x"])
    y = np.where(failed, y_peak, fitted["y"])
    rows["x"], rows["y"] = x, y
    rows["x_err"], rows["y_err"] = np.sqrt(fitted["var_x"]), np.sqrt(fitted["var_y"])
    rows["centroid_flag"] = failed | (np.hypot(x - x_peak, y - y_peak) > 3)
    rows["ra"], rows["dec"] = exposure.wcs.sky(x, y)
    jacobian = exposure.wcs.jacobian(x, y)
    _position_errors(rows, fitted, jacobian)
    factor = exposure.photo_calib.nanojansky_per_count
    rows["raw_flux"], rows["raw_flux_err"] = fitted["flux"], np.sqrt(fitted["var_flux"])
    rows["psf_flux"], rows["psf_flux_err"] = rows["raw_flux"] * factor, rows["raw_flux_err"] * factor
    rows["psf_flux_flag"] = failed
    rows["photo_calib"], rows["photo_calib_err"] = factor, exposure.photo_calib.err
    radius = _aperture(rows, exposure, x, y, factor, aperture, ring)
    measure_shapes(rows, exposure, weight, x, y, jacobian)
    set_pixel_flags(rows, exposure.pixels, x, y, int(np.ceil(1.5 * exposure.psf.fwhm(*_middle(exposure)))))
    return radius * exposure.wcs.pixel_scale(*_middle(exposure))


def _middle(exposure):
    return exposure.shape[1] / 2, exposure.shape[0] / 2


def _position_errors(rows, fitted, jacobian):
    """Turn the covariance in pixels into one on the sky, true angle in arcsec."""
    covariance = np.empty((len(rows), 2, 2))
    covariance[:, 0, 0], covariance[:, 1, 1] = fitted["var_x"], fitted["var_y"]
    covariance[:, 0, 1] = covariance[:, 1, 0] = fitted["cov_xy"]
    sky = jacobian @ covariance @ np.swapaxes(jacobian, 1, 2)
    rows["ra_err"], rows["dec_err"] = np.sqrt(sky[:, 0, 0]), np.sqrt(sky[:, 1, 1])
    rows["ra_dec_cov"] = sky[:, 0, 1]


def _aperture(rows, exposure, x, y, factor, radius=None, ring=None):
    """Aperture flux within 1.5 FWHM or a radius in pixels, corrected by the part of the PSF outside."""
    radius = radius or 1.5 * exposure.psf.fwhm(*_middle(exposure))
    flux, error, rows["ap_flux_flag"] = _summed_flux(exposure, x, y, radius, ring)
    rows["ap_flux"], rows["ap_flux_err"] = flux * factor, error * factor
    return radius


def _summed_flux(exposure, x, y, radius, ring=None):
    """Return point sources' fluxes by the sum of the pixels within a radius, errors, and whether pixels lack."""
    pixels = exposure.pixels
    flux, error, flag = sep.sum_circle(pixels.image, x, y, radius, var=pixels.variance, mask=pixels.unusable, subpix=0)
    if ring:
        sky, sky_error = local_sky(pixels, x, y, ring)
        area = np.pi * radius**2
        flux, error = flux - area * sky, np.hypot(error, area * sky_error)
    inside = part_inside(exposure.psf, radius, x, y)
    return flux / inside, error / inside, flag != 0


def part_inside(psf, radius, x, y):
    """Return the part of a point source's PSF flux within a radius [pixel], a quadratic of position.

    Where stars are so narrow that their pixels don't tell how the PSF varies, it is that of the detector's middle:
    light curves would feel the noise of the quadratic, up to 5 mmag on stars of 2.2 pixels.
    """

    def part(*place):
        stamp = psf.at(*np.rint(place))
        half = stamp.shape[0] // 2
        return np.array([[sep.sum_circle(stamp, [half], [half], radius, subpix=0)[0][0] / stamp.sum()]])

    middle = [n / 2 for n in psf.model.shape[::-1]]
    if psf.fwhm(*middle) < NARROW:
        return np.full(np.shape(x), part(*middle)[0, 0])
    varying = VaryingImage.interpolate(part, psf.model.shape, 2)
    return varying.planes[:, 0, 0] @ polynomial(x, y, psf.model.shape, 2)


def set_pixel_flags(rows, pixels, x, y, half):
    """Raise the flags of the mask planes that are set in the box of ± half pixels round each position."""
    joined = _joined(pixels.mask, x, y, half)
    for name in PIXEL_FLAGS.keys() & rows.dtype.names:
        rows[name] = (joined & bits(*PIXEL_FLAGS[name])) != 0
    near_border = (x < half) | (y < half) | (x >= pixels.shape[1] - half) | (y >= pixels.shape[0] - half)
    rows["pixel_flag_edge"] |= near_border
    if "pixel_flag_saturated_center" in rows.dtype.names:
        rows["pixel_flag_saturated_center"] = (_joined(pixels.mask, x, y, 1) & bits("SAT", "SAT_TEMPLATE")) != 0


def measure_snaps(dia_sources, apart):
    """Split the fluxes of a Visit's DiaSources between its two Snaps.

    The Visit's flux density F comes from the sum of both, half their difference G from the first Snap minus the
    second, where the template is gone; the Snaps have F + G and F − G. Sum and difference of two images of the same
    noise are independent.

    Parameters
    ----------
    dia_sources : ndarray of DIA_SOURCE
    apart : Exposure
        First Snap minus the second, with PSF and PhotoCalib of their sum.

    Returns
    -------
    list of two ndarrays of SNAP, each as long as `dia_sources`
    """
    x, y = dia_sources["x"], dia_sources["y"]
    flux, error = forced_flux(apart.pixels.image, weights(apart.pixels), apart.psf, x, y)
    factor = apart.photo_calib.nanojansky_per_count
    total, half = dia_sources["psf_flux"], flux * factor
    ray = (np.abs(half) > RAY_SHARE * np.abs(total)) & (np.abs(half) > RAY_SIGMA * error * factor)
    snaps = []
    for number, sign in ((1, 1), (2, -1)):
        rows = np.zeros(len(dia_sources), SNAP)
        rows["snap"], rows["x"], rows["y"] = number, x, y
        rows["psf_flux"] = total + sign * half
        rows["psf_flux_err"] = np.hypot(dia_sources["psf_flux_err"], error * factor)
        rows["snr"] = rows["psf_flux"] / rows["psf_flux_err"]
        rows["psf_flux_flag"] = dia_sources["psf_flux_flag"] | ~np.isfinite(rows["psf_flux"])
        rows["cosmic_ray_like"] = ray & (sign * half * np.sign(total) > 0)
        for name in ("bad", "saturated", "cosmic_ray", "edge"):
            rows[f"pixel_flag_{name}"] = dia_sources[f"pixel_flag_{name}"]
        snaps.append(rows)
    return snaps


def _joined(mask, x, y, half):
    """Return the OR of the mask over boxes of ± half pixels."""
    offset = np.arange(-half, half + 1)
    rows = (np.rint(y).astype(int)[:, None, None] + offset[:, None]).clip(0, mask.shape[0] - 1)
    columns = (np.rint(x).astype(int)[:, None, None] + offset).clip(0, mask.shape[1] - 1)
    return np.bitwise_or.reduce(mask[rows, columns], axis=(1, 2))


def force_photometry(exposure, ra, dec):
    """Measure PSF fluxes at given positions, on a direct or a difference exposure.

    Parameters
    ----------
    exposure : Exposure
        With WCS, PSF and PhotoCalib.
    ra, dec : ndarray, shape (n,)
        Degrees, ICRS.

    Returns
    -------
    ndarray of FORCED
        Only positions on the exposure, in the order given.
    ndarray of int
        Their indices.
    """
    x, y = exposure.wcs.pixel(np.asarray(ra, float), np.asarray(dec, float))
    inside = np.isfinite(x + y) & (np.abs(x - (exposure.shape[1] - 1) / 2) <= exposure.shape[1] / 2)
    index = np.flatnonzero(inside & (np.abs(y - (exposure.shape[0] - 1) / 2) <= exposure.shape[0] / 2))
    rows = np.zeros(len(index), FORCED)
    rows["x"], rows["y"] = x[index], y[index]
    rows["ra"], rows["dec"] = np.asarray(ra)[index], np.asarray(dec)[index]
    flux, error = forced_flux(exposure.pixels.image, weights(exposure.pixels), exposure.psf, x[index], y[index])
    if exposure.observation.kind == "difference" and exposure.psf.fwhm(*_middle(exposure)) < NARROW:
        flux, error = _with_stars_summed(exposure, rows["x"], rows["y"], flux, error)
    factor = exposure.photo_calib.nanojansky_per_count
    rows["psf_flux"], rows["psf_flux_err"] = flux * factor, error * factor
    rows["psf_flux_flag"] = ~np.isfinite(rows["psf_flux"])
    half = int(np.ceil(1.5 * exposure.psf.fwhm(*_middle(exposure))))
    set_pixel_flags(rows, exposure.pixels, x[index], y[index], half)
    return rows, index


def _with_stars_summed(difference, x, y, flux, error):
    """Return forced fluxes, those on bright stars weighted equally over the PSF instead of by it.

    Where stars are two pixels wide, what interpolation leaves of one outweighs photons, but conserves its light: its
    sum is zero, and the PSF's weights would find a flux in it.
    """
    variance = difference.pixels.variance
    usual = np.median(variance[~difference.pixels.unusable])
    row, column = (np.rint(v).astype(int).clip(0, n - 1) for v, n in zip((y, x), variance.shape, strict=True))
    star = np.isfinite(flux) & (variance[row, column] > STAR * usual)
    flux, error = flux.copy(), error.copy()
    radius = 1.5 * difference.psf.fwhm(*_middle(difference))
    flux[star], error[star], _ = _summed_flux(difference, x[star], y[star], radius)
    return flux, error
