"""How good pixel processing is, against the truth of a simulated scene. Each function returns a dict of figures."""

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree
from scipy.stats import norm

from pipelines.image import Exposure
from pipelines.simulate import bounds
from pipelines.simulate.exposures import Standard, Truth, transient_rows
from pipelines.simulate.visits import STAR_KIND
from pipelines.steps.pointsource import fit_sources, weights

BINS = (5.0, 6.0, 8.0, 12.0, 50.0)
THRESHOLD = 5.0
NEAR = 0.6  # FWHM, within which a detection is a transient's


def fwhm_of(night: Standard) -> float:
    """Return the Visit's FWHM in pixels."""
    return night.truth.seeing.fwhm


def _nearest(x, y, places, radius):
    """Return for each (x, y) the index of the nearest of `places` (n, 2) within a radius, or −1."""
    if not len(places):
        return np.full(len(x), -1)
    distance, index = cKDTree(places).query(np.column_stack([x, y]), distance_upper_bound=radius)
    return np.where(np.isfinite(distance), index, -1)


def _clean(unusable, x, y, radius):
    """Return which positions have all their pixels within a radius on the image and usable."""
    reach = int(np.ceil(radius))
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    v, u = v[u**2 + v**2 <= radius**2], u[u**2 + v**2 <= radius**2]
    rows, columns = np.rint(y).astype(int)[:, None] + v, np.rint(x).astype(int)[:, None] + u
    inside = (rows >= 0) & (columns >= 0) & (rows < unusable.shape[0]) & (columns < unusable.shape[1])
    bad = unusable[rows.clip(0, unusable.shape[0] - 1), columns.clip(0, unusable.shape[1] - 1)]
    return np.all(inside & ~bad, axis=1)


def judged(night: Standard, unusable, x, y, snr):
    """Return the transients that no masked pixel spoils, the SNR they ought to have, and who found each (or −1)."""
    fwhm = fwhm_of(night)
    rows = transient_rows(night.truth)
    rows = rows[_clean(unusable, rows["x"], rows["y"], fwhm)]
    up = np.flatnonzero(np.asarray(snr) > 0)
    finder = _nearest(rows["x"], rows["y"], np.column_stack([x, y])[up], NEAR * fwhm)
    return rows, night.scene.transients["snr"][rows["index"]], np.where(finder < 0, -1, up[finder] if up.size else -1)


def completeness(nights_judged) -> list[dict]:
    """Return found over expected, Σ Φ(SNR − 5), in bins of SNR, pooled over scenes.

    Parameters
    ----------
    nights_judged : list of (rows, snr, finder)
        As from `judged`.

    Returns
    -------
    list of dict
        `bin`, `transients`, `found`, `expected`, `ratio`, and `low`, `high` of its 95 % interval.
    """
    wanted = np.concatenate([snr for _, snr, _ in nights_judged])
    found = np.concatenate([finder >= 0 for _, _, finder in nights_judged])
    report = []
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        inside = (wanted >= low) & (wanted < high)
        expected = norm.cdf(wanted[inside] - THRESHOLD).sum()
        hits, count = int(found[inside].sum()), int(inside.sum())
        part = np.array(_wilson(hits, count)) * count / max(expected, 1e-9)
        report.append({"bin": (low, high), "transients": count, "found": hits, "expected": float(expected),
                       "ratio": hits / max(expected, 1e-9), "low": part[0], "high": part[1]})  # fmt: skip
    return report


def _wilson(hits, count, z=1.96):
    if not count:
        return 0.0, 1.0
    part = hits / count
    middle = (part + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(part * (1 - part) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return middle - half, middle + half


def gaussian_expectation(area, fwhm, threshold=THRESHOLD):
    """Return the peaks of either sign beyond a threshold that noise alone has, smoothed by its own PSF.

    Density of maxima of a Gaussian field above u: λ (2π)^−3/2 u exp(−u²/2), λ its spectral moment (Adler 1981).
    """
    spectral = 1 / (2 * (fwhm / 2.3548) ** 2)
    return 2 * area * spectral * threshold * np.exp(-(threshold**2) / 2) / (2 * np.pi) ** 1.5


def false_detections(night: Standard, unusable, x, y) -> dict:
    """Count detections that nothing in the sky explains: no transient, asteroid or variable within a FWHM."""
    fwhm, bodies = fwhm_of(night), night.truth.bodies
    amplitude = night.scene.stars["amplitude"]
    varies = (bodies["kind"] == STAR_KIND) & (amplitude[bodies["index"] % len(amplitude)] > 0)
    real = bodies[varies | (bodies["kind"] > 1)]
    far = _nearest(x, y, np.column_stack([real["x"], real["y"]]), max(fwhm, 3.0)) < 0
    usable = np.sum(~unusable)
    stars = _saturated(night)
    near = _nearest(x, y, stars, 60.0) >= 0
    expectation = gaussian_expectation(usable, fwhm)
    return {"false": int(far.sum()), "near_saturated": int((far & near).sum()), "gaussian": expectation,
            "saturated_stars": len(stars), "allowed": 2 * expectation + len(stars), "where": np.flatnonzero(far),
            "masked": 1 - usable / unusable.size}  # fmt: skip


def _saturated(night):
    """Places of the stars whose core is at full well."""
    stars = night.truth.bodies[night.truth.bodies["kind"] == STAR_KIND]
    full = night.truth.saturated
    column, row = (np.rint(stars[axis]).astype(int) for axis in "xy")
    inside = (column >= 0) & (row >= 0) & (column < full.shape[1]) & (row < full.shape[0])
    bright = inside & (stars["flux"] > 1e6)
    bright[bright] = full[row[bright], column[bright]]
    return np.column_stack([stars["x"], stars["y"]])[bright]


PULL = np.dtype([("hosted", "?"), ("flux", "f8"), ("x", "f8"), ("y", "f8"), ("ratio", "f8")])


def pulls(night: Standard, rows, finder, measured) -> np.ndarray:
    """Return how far the transients of SNR 8 and more that stand alone are measured off, as PULL.

    `flux` is in sigma, `x` and `y` in units of the Cramér–Rao bound, `ratio` the flux over the true one.

    Parameters
    ----------
    rows, finder : ndarray
        As from `judged`.
    measured : ndarray
        With x, y [pixels] and psf_flux, psf_flux_err [nJy], as DIA_SOURCE has them: by the fitted zeropoint.
    """
    alone = _crowding(rows, 3 * fwhm_of(night)) == 1
    bound = position_bound(night, rows)
    use = alone & (finder >= 0) & (night.scene.transients["snr"][rows["index"]] >= 8) & np.isfinite(bound)
    got, true = measured[finder[use]], rows[use]
    flux = true["flux"] * night.science.photo_calib.nanojansky_per_count
    found = np.zeros(len(true), PULL)
    found["hosted"] = night.scene.transients["host"][true["index"]] >= 0
    found["flux"], found["ratio"] = (got["psf_flux"] - flux) / got["psf_flux_err"], got["psf_flux"] / flux
    for axis in "xy":
        found[axis] = (got[axis] - true[axis]) / bound[use]
    return found


def photometry(found: np.ndarray) -> dict:
    """Return robust sigmas of pulls, and positions over the bound, of all and of those in hosts."""
    figures = {}
    for name, which in (("all", np.ones(len(found), bool)), ("hosted", found["hosted"]), ("field", ~found["hosted"])):
        place = np.concatenate([found["x"][which], found["y"][which]])
        figures[name] = {
            "count": int(which.sum()), "flux_pull": _sigma(found["flux"][which]),
            "flux_bias": _median(found["flux"][which]), "position": _sigma(place, about_zero=True),
            "flux_ratio": _median(found["ratio"][which]),
        }  # fmt: skip
    return figures


def _crowding(rows, radius):
    """Return how many transients lie within a radius of each, itself included."""
    places = np.column_stack([rows["x"], rows["y"]])
    return cKDTree(places).query_ball_point(places, radius, return_length=True)


def position_bound(night: Standard, rows):
    """Return the least possible error of each transient's position per axis [pixels], random motion apart."""
    science, reference = night.truth, night.template_truth
    x, y = rows["x"], rows["y"]
    there = night.template.wcs.pixel(*night.science.wcs.sky(x, y))
    scale = 10 ** (0.4 * (science.zeropoint - reference.zeropoint))
    ours = bounds.local_variance(science.variance, science.seeing, x, y)
    theirs = bounds.local_variance(reference.variance, reference.seeing, *there) * scale**2
    widths = science.seeing.shape(x, y)[:, 0], reference.seeing.shape(*there)[:, 0]
    _, position = bounds.information(widths[0], ours, widths[1], theirs)
    return 1 / np.sqrt(position) / rows["flux"]


def _median(values):
    return float(np.median(values)) if len(values) else float("nan")


def _sigma(values, *, about_zero=False):
    if not len(values):
        return float("nan")
    middle = 0 if about_zero else np.median(values)
    return float(1.4826 * np.median(np.abs(values - middle)))


def psf_residuals(exposure: Exposure, truth: Truth, nodes=7) -> dict:
    """Return rms ΔT/T and |Δe| of the model PSF, by adaptive moments on a grid over the detector."""
    rows, columns = exposure.shape
    y, x = np.meshgrid(*(np.linspace(0.05, 0.95, nodes) * n for n in (rows, columns)), indexing="ij")
    size = min(exposure.psf.size, 25)
    places = list(zip(np.rint(x).ravel(), np.rint(y).ravel(), strict=True))
    model = np.array([_moments(exposure.psf.at(*place, size)) for place in places])
    true = np.array([_moments(truth.seeing.stamp(*place, size)) for place in places])
    return {"size": float(np.sqrt(np.mean((model[:, 0] / true[:, 0] - 1) ** 2))),
            "ellipticity": float(np.sqrt(np.mean(np.sum((model[:, 1:] - true[:, 1:]) ** 2, axis=1))))}  # fmt: skip


def _moments(stamp, iterations=60):
    """Return T, e1, e2 of a stamp by moments under its own matched Gaussian (Bernstein & Jarvis 2002)."""
    half = stamp.shape[0] // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    xx, yy, xy = 3.0, 3.0, 0.0
    x0 = y0 = 0.0
    for _ in range(iterations):
        det = xx * yy - xy**2
        du, dv = u - x0, v - y0
        weight = stamp * np.exp(-0.5 * (yy * du**2 - 2 * xy * du * dv + xx * dv**2) / det)
        total = weight.sum()
        x0, y0 = x0 + 2 * (weight * du).sum() / total, y0 + 2 * (weight * dv).sum() / total
        xx, yy, xy = (2 * (weight * p).sum() / total for p in (du**2, dv**2, du * dv))
    return xx + yy, (xx - yy) / (xx + yy), 2 * xy / (xx + yy)


def repeatability(exposure: Exposure, truth: Truth, scene, *, least_snr=500.0, floor_mas=3.0) -> dict:
    """Return scatter of bright stars' positions and fluxes about the truth, and the bounds for both.

    WCS and zeropoint are the exposure's own. Unsaturated stars only, whose neighbours within 3 FWHM have together less
    light than half of the least error; the bound of a position joins the random motion of each body in each exposure,
    `floor_mas` per axis.

    Returns
    -------
    dict
        `astrometry`, `astrometry_bound` [mas per axis], `photometry`, `photometry_bound` [mmag], `count`.
    """
    stars = truth.bodies[truth.bodies["kind"] == STAR_KIND]
    fwhm = truth.seeing.fwhm
    flux_info, _ = bounds.information(fwhm, np.median(truth.variance))
    snr = stars["flux"] * np.sqrt(flux_info)
    crowd = cKDTree(np.column_stack([truth.bodies["x"], truth.bodies["y"]]))
    use = np.flatnonzero(snr > least_snr)
    neighbours = crowd.query_ball_point(np.column_stack([stars["x"], stars["y"]])[use], 3 * fwhm)
    together = np.array([truth.bodies["flux"][who].sum() for who in neighbours])
    use = use[together - stars["flux"][use] < 0.5 * stars["flux"][use] / least_snr] if use.size else use
    use = use[_clean(exposure.pixels.unusable, stars["x"][use], stars["y"][use], 3 * fwhm)]
    some = stars[use]
    fitted = fit_sources(exposure.pixels.image, weights(exposure.pixels), exposure.psf, some["x"], some["y"])
    sky_true = np.column_stack([scene.stars["ra"], scene.stars["dec"]])[some["index"]]
    ra, dec = exposure.wcs.sky(fitted["x"], fitted["y"])
    east = 3.6e6 * (ra - sky_true[:, 0]) * np.cos(np.radians(dec))
    north = 3.6e6 * (dec - sky_true[:, 1])
    zeropoint = exposure.photo_calib.zeropoint
    excess = 1000 * (zeropoint - truth.zeropoint - 2.5 * np.log10(fitted["flux"] / some["flux"]))
    least = bounds.errors(truth.seeing, some["x"], some["y"], some["flux"], np.median(truth.variance))
    scale = 1000 * exposure.wcs.pixel_scale(exposure.shape[1] / 2, exposure.shape[0] / 2)
    position = np.hypot(scale * np.hypot(*least[1:]) / np.sqrt(2), floor_mas)
    magnitude = 1085.7 * least[0] / some["flux"]
    both = np.column_stack([east, north])
    return {
        "count": len(some), "astrometry": _sigma(both.ravel(), about_zero=True),
        "astrometry_bound": float(np.sqrt(np.median(position**2))),
        "astrometry_ratio": _sigma((both / position[:, None]).ravel(), about_zero=True),
        "photometry": _sigma(excess, about_zero=False), "photometry_offset": _median(excess),
        "photometry_bound": float(np.sqrt(np.median(magnitude**2))),
        "photometry_ratio": _sigma(excess / magnitude),
    }  # fmt: skip


def cosmic_rays(flagged, rays, noise) -> dict:
    """Return how many pixels have more than 5σ of a ray, how many of them are flagged, and what part is falsely so.

    Parameters
    ----------
    flagged : ndarray of bool
        Pixels flagged in one Snap.
    rays : ndarray
        Electrons deposited in it.
    noise : ndarray
        One sigma of the Snaps' difference.
    """
    hit = rays > 5 * noise
    touched = rays > 0
    return {"pixels": int(hit.sum()), "found": int(flagged[hit].sum()),
            "false": float(np.mean(flagged & ~binary_dilation(touched, np.ones((3, 3)))))}  # fmt: skip


def signature(exposure: Exposure, expected, *, block=64) -> dict:
    """Return how flat the instrument's signature leaves an image: rms of block means over the photon floor.

    Parameters
    ----------
    exposure : Exposure
        One Snap or their sum in electrons, sky included.
    expected : ndarray
        True electrons; inf where a pixel is not to be judged.

    Returns
    -------
    dict
        `blocks` over the floor, `variance`: scatter of pulls squared (1 is right).
    """
    pixels = exposure.pixels
    good = ~pixels.unusable & np.isfinite(expected)
    expected = np.where(good, expected, 1)
    scale = np.median(pixels.image[good][::7] / expected[good][::7])
    residual = np.where(good, pixels.image - scale * expected, 0)
    rows, columns = (n // block * block for n in pixels.shape)

    def blocks(image):
        return image[:rows, :columns].reshape(rows // block, block, columns // block, block).sum(axis=(1, 3))

    count = np.maximum(blocks(good.astype(float)), 1)
    means = blocks(residual) / count
    floor = np.sqrt(blocks(np.where(good, pixels.variance, 0))) / count
    pulls = (residual / np.sqrt(np.maximum(pixels.variance, 1e-9)))[good]
    pulls -= np.median(pulls)
    return {"blocks": float(np.std(means) / np.sqrt(np.mean(floor**2))), "variance": _sigma(pulls) ** 2,
            "gain": float(scale)}  # fmt: skip
