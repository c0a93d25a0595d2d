"""Noisy detections, on the difference image of a Visit, of a sky whose truth is known.

A Visit's detections do not depend on which other Visits were simulated.
"""

import healpy
import numpy as np

from pipelines.simulate import orbits
from pipelines.simulate.places import ARCSEC, position, projected, scattered, shifted, unit
from pipelines.simulate.sky import TRANSIENT, VARIABLE, Parameters, Sky, moments

SPURIOUS, COSMIC_RAY = -1, -2
"""Values of a detection's `truth` that name no body; a moving object k is `MOVING` - k."""
MOVING = -3

DETECTION = np.dtype(
    [
        ("ra", "f8"), ("dec", "f8"), ("ra_err", "f4"), ("dec_err", "f4"), ("ra_dec_cov", "f4"),
        ("healpix29", "i8"), ("detector_id", "i2"), ("rank", "i4"),
        ("midpoint_tai", "f8"), ("filter_id", "i2"),
        ("x", "f4"), ("y", "f4"), ("psf_flux", "f4"), ("psf_flux_err", "f4"), ("snr", "f4"),
        ("ixx", "f4"), ("iyy", "f4"), ("ixy", "f4"), ("extendedness", "f4"), ("reliability", "f4"),
        ("cosmic_ray", "?"), ("truth", "i8"), ("snap_flux", "f4", 2), ("snap_flux_err", "f4", 2),
    ]
)  # fmt: skip
"""A detection on the difference image of a Visit, its flux on each Snap, and what it truly is: the row of the
objects followed by the transients, `SPURIOUS`, `COSMIC_RAY`, or `MOVING` - k for moving object k."""


def detect(sky: Sky, visit: np.void) -> np.ndarray:
    """Detections (rows of DETECTION) of one Visit, sorted by healpix29.

    Positions scatter by exactly the covariance that is reported, fluxes by theirs.
    """
    p = sky.parameters
    random = np.random.default_rng([p.seed, 2, int(visit["night"]), int(visit["sequence"])])
    ra, dec, flux, truth = _bodies(sky, visit)
    noisy = flux + random.normal(0, visit["flux_err"], flux.size)
    seen = (np.abs(noisy) >= p.threshold * visit["flux_err"]) & (random.uniform(size=flux.size) >= p.losses)
    fake_ra, fake_dec, fake_flux, fake = _fakes(p, visit, random)
    found = np.zeros(int(seen.sum()) + fake.size, DETECTION)
    found["truth"] = np.append(truth[seen], fake)
    found["psf_flux"], found["psf_flux_err"] = np.append(noisy[seen], fake_flux), visit["flux_err"]
    found["snr"] = np.abs(found["psf_flux"]) / visit["flux_err"]
    _scatter(found, np.append(ra[seen], fake_ra), np.append(dec[seen], fake_dec), p, visit, random)
    _shape(found, visit, random)
    _snaps(found, random)
    found = found[np.argsort(found["healpix29"], kind="stable")]
    return _on_detectors(found, p, visit)


def outlines(parameters: Parameters, visit: np.void) -> tuple[np.ndarray, np.ndarray]:
    """Corners [deg] of the detectors of a Visit: ra and dec, each of shape (detectors, 4), in their order."""
    side, edge = _side(parameters), np.arange(parameters.detectors_across)
    y, x = (part.ravel() for part in np.meshgrid(edge, edge, indexing="ij"))
    half = parameters.detectors_across / 2
    east = np.stack([x, x + 1, x + 1, x], axis=-1) - half
    north = np.stack([y, y, y + 1, y + 1], axis=-1) - half
    ra, dec = np.full(east.shape, visit["ra"]), np.full(east.shape, visit["dec"])
    return shifted(ra, dec, east * side, north * side)


def _bodies(sky: Sky, visit):
    """Positions, difference fluxes and truth of all that could be seen in a Visit."""
    p, years = sky.parameters, (visit["midpoint_tai"] - sky.parameters.epoch) / 365.25
    centre = unit(visit["ra"], visit["dec"])
    pixels = healpy.query_disc(2**7, centre, np.radians(p.field_radius_deg), inclusive=True, nest=True)
    objects, transients = _within(sky.objects, pixels), _within(sky.transients, pixels)
    rows = np.concatenate([sky.objects[objects], sky.transients[transients]])
    near = np.concatenate([objects, sky.objects.size + transients])
    flux = _difference_flux(rows, visit["midpoint_tai"] - p.epoch)
    active = np.flatnonzero(flux)
    rows, flux, near = rows[active], flux[active], near[active]
    ra, dec = shifted(rows["ra"], rows["dec"], rows["pm_ra"] * years / 1000, rows["pm_dec"] * years / 1000)
    vectors, distance, solar = orbits.directions(sky.moving, p.epoch, visit["midpoint_tai"])
    body_ra, body_dec = position(vectors)
    ra, dec = np.append(ra, body_ra), np.append(dec, body_dec)
    flux = np.append(flux, 20 * sky.moving_flux / (distance * solar) ** 2)
    truth = np.append(near, MOVING - np.arange(sky.moving.size))
    inside = unit(ra, dec) @ centre >= np.cos(np.radians(p.field_radius_deg))
    return ra[inside], dec[inside], flux[inside], truth[inside]


def _within(rows, pixels):
    """Which rows, sorted by healpix29, lie within order-7 pixels."""
    bounds = np.searchsorted(rows["healpix29"], np.stack([pixels, pixels + 1]) << 44)
    return np.concatenate([np.empty(0, int), *map(np.arange, *bounds)])


def _difference_flux(rows, days):
    """Flux less the template's, which holds the mean of a variable and no transient."""
    wave = rows["amplitude"] * np.sin(2 * np.pi * (days / np.maximum(rows["period"], 1e-3) + rows["phase"]))
    age = (days - rows["start"]) / np.maximum(rows["period"], 1e-3)
    burst = np.where(age > 0, rows["amplitude"] * np.minimum(4 * age, 1) * np.exp(-np.maximum(age, 0)), 0)
    return np.where(rows["kind"] == VARIABLE, wave, np.where(rows["kind"] == TRANSIENT, burst, 0))


def _fakes(p: Parameters, visit, random):
    """Positions, fluxes and truth of noise peaks and cosmic rays."""
    spurious, rays = random.poisson(p.spurious), random.poisson(p.cosmic_rays)
    ra, dec = scattered(spurious + rays, visit["ra"], visit["dec"], p.field_radius_deg, random)
    flux = visit["flux_err"] * (p.threshold + random.exponential(0.7, spurious + rays))
    flux[:spurious] *= random.choice([-1, 1], spurious)
    return ra, dec, flux, np.repeat([SPURIOUS, COSMIC_RAY], [spurious, rays])


def _scatter(found, ra, dec, p: Parameters, visit, random) -> None:
    """Move detections off their true positions by a covariance that is turned and stretched with the PSF."""
    angle, ratio = random.uniform(0, np.pi), random.uniform(0.7, 1)
    sigma = np.hypot(p.floor_arcsec, visit["seeing"] / 2.355 / found["snr"])
    east, north, both = moments(sigma, ratio, angle)
    along, across = sigma * random.normal(size=found.size), sigma * ratio * random.normal(size=found.size)
    offset = along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)
    found["ra"], found["dec"] = shifted(ra, dec, *offset)
    found["ra_err"], found["dec_err"], found["ra_dec_cov"] = np.sqrt(east), np.sqrt(north), both
    found["healpix29"] = healpy.ang2pix(2**29, found["ra"], found["dec"], nest=True, lonlat=True)


def _shape(found, visit, random) -> None:
    """Moments of the PSF with noise; scores that tell real from false, imperfectly."""
    psf, noise = (visit["seeing"] / 2.355) ** 2, 2 / np.maximum(found["snr"], 1)
    found["ixx"], found["iyy"] = psf * (1 + noise * random.normal(0, 0.5, (2, found.size)))
    found["ixy"] = psf * noise * random.normal(0, 0.3, found.size)
    found["extendedness"] = random.beta(1, 8, found.size)
    real = (found["truth"] >= 0) | (found["truth"] <= MOVING)
    found["reliability"] = np.where(real, random.beta(8, 1, found.size), random.beta(1, 4, found.size))
    found["midpoint_tai"], found["filter_id"] = visit["midpoint_tai"], visit["filter_id"]


def _snaps(found, random) -> None:
    """Share the flux between two Snaps of equal length; a cosmic ray hits one of them only.

    Snap fluxes are scaled to the same calibration, so that the Visit's flux is their mean.
    """
    count = found.size
    found["snap_flux_err"] = np.sqrt(2) * found["psf_flux_err"][:, None]
    split = random.normal(0, found["psf_flux_err"], count)
    ray = found["truth"] == COSMIC_RAY
    split = np.where(ray, found["psf_flux"] * random.choice([-1, 1], count), split)
    found["snap_flux"] = found["psf_flux"][:, None] + np.stack([split, -split], axis=-1)
    found["cosmic_ray"] = ray & (random.uniform(size=count) < 0.9)


def _side(p: Parameters) -> float:
    """Side of a detector [arcsec]."""
    return 2 * np.tan(np.radians(p.field_radius_deg)) / ARCSEC / p.detectors_across


def _on_detectors(found, p: Parameters, visit):
    """Give detector, pixel and rank (by healpix29, then SNR, within the detector)."""
    east, north = projected(found["ra"], found["dec"], visit["ra"], visit["dec"])
    side, last = _side(p), p.detectors_across - 1
    column, row = east / side + (last + 1) / 2, north / side + (last + 1) / 2
    i, j = (np.clip(part.astype(int), 0, last) for part in (column, row))
    found["detector_id"] = j * p.detectors_across + i
    found["x"], found["y"] = (column - i) * side / p.pixel_scale, (row - j) * side / p.pixel_scale
    order = np.lexsort([-found["snr"], found["healpix29"], found["detector_id"]])
    first = np.searchsorted(found["detector_id"][order], found["detector_id"][order])
    found["rank"][order] = np.arange(found.size) - first
    return found
