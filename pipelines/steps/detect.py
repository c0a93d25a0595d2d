"""Find the sources of a direct image."""

import numpy as np
import sep

sep.set_extract_pixstack(5_000_000)

DETECTION = np.dtype(
    [("x", "f8"), ("y", "f8"), ("a", "f4"), ("b", "f4"), ("theta", "f4"), ("flux", "f4"), ("peak", "f4"),
     ("area", "i4"), ("snr", "f4"), ("clean", "?")]
)  # fmt: skip


def smoothing_kernel(fwhm):
    """Return a Gaussian matched filter of this full width at half maximum in pixels, sum 1."""
    half = max(2, int(np.ceil(0.75 * fwhm)))
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.exp(-(u**2 + v**2) * 4 * np.log(2) / fwhm**2)
    return kernel / kernel.sum()


def detect(exposure, fwhm=3.0, threshold=5.0):
    """Detect and deblend the positive sources of a sky-subtracted exposure (sep).

    Parameters
    ----------
    exposure : Exposure
    fwhm : float
        Expected full width at half maximum in pixels, for the matched filter.
    threshold : float
        In sigma of the matched-filtered image, by the variance plane.

    Returns
    -------
    ndarray of DETECTION
        Brightest first. `clean`: not truncated, saturated or on unusable pixels.
    """
    pixels = exposure.pixels
    objects, segments, hidden = _extract(pixels, fwhm, threshold)
    found = np.zeros(len(objects), DETECTION)
    for name in ("x", "y", "a", "b", "theta", "flux", "peak"):
        found[name] = objects[name]
    found["area"] = objects["npix"]
    sky = np.median(pixels.variance[::8, ::8][~hidden[::8, ::8]])
    signal = np.maximum(found["flux"], 0)
    found["snr"] = signal / np.sqrt(np.maximum(signal + sky * found["area"], 1e-9))
    saturated = np.isin(np.arange(1, len(objects) + 1), segments[pixels.flagged("SAT", "SUSPECT")])
    found["clean"] = (objects["flag"] & ~sep.OBJ_MERGED == 0) & ~saturated
    return found[np.argsort(-found["flux"])]


def footprints(exposure, fwhm=3.0, threshold=5.0):
    """Return the pixels of what `detect` finds, a boolean image."""
    return _extract(exposure.pixels, fwhm, threshold)[1] > 0


def _extract(pixels, fwhm, threshold):
    """Return sep's objects, the number of the object that each pixel belongs to, and the pixels that were left out."""
    hidden = pixels.flagged("BAD", "NO_DATA", "CR", "STREAK")  # saturated stars are sources too
    objects, segments = sep.extract(
        np.ascontiguousarray(pixels.image, np.float32), threshold, var=pixels.variance, mask=hidden,
        filter_kernel=smoothing_kernel(fwhm), filter_type="matched", minarea=3, deblend_cont=0.005,
        clean=False,  # cleaning drops isolated faint sources in the neighbourhood of bright stars
        segmentation_map=True,
    )  # fmt: skip
    return objects, segments, hidden


def guess_fwhm(exposure, otherwise=3.0, side=1024):
    """Return the rough full width at half maximum [pixels] of the stars amid an exposure without sky.

    `otherwise` where there are not enough.
    """
    pixels = exposure.pixels
    rows, columns = (slice(max(0, n // 2 - side // 2), n // 2 + side // 2) for n in exposure.shape)
    image = np.ascontiguousarray(pixels.image[rows, columns], np.float32)
    noise = np.sqrt(np.median(pixels.variance[rows, columns][::4, ::4]))
    bright = sep.extract(image, 15 * noise, mask=np.ascontiguousarray(pixels.unusable[rows, columns]), minarea=5)
    bright = bright[(bright["flag"] == 0) & (bright["peak"] > 40 * noise)]
    if len(bright) < 5:
        return otherwise
    return float(np.clip(2.0 * np.sqrt(np.percentile(bright["a"] * bright["b"], 30)), 2.0, 10.0))
