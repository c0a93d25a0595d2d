"""Master bias, dark and flat by robust stacking, with uncertainty planes."""

import numba
import numpy as np
from scipy.ndimage import median_filter

from pipelines.image import MaskedImage
from pipelines.steps.conditions import BadInput
from pipelines.steps.star_flat import fit_star_flat


class TooFewFrames(BadInput):
    """Too few frames for a master calibration."""

    condition = "too_few_frames"


@numba.njit(cache=True)
def _clipped_mean(stack, clip, mean, error, used):
    """Fill mean, its standard error squared, and the number of frames used, pixel by pixel."""
    count = stack.shape[0]
    values = np.empty(count)
    for j in range(stack.shape[1]):
        for i in range(stack.shape[2]):
            for k in range(count):
                values[k] = stack[k, j, i]
            values.sort()
            middle = 0.5 * (values[(count - 1) // 2] + values[count // 2])
            # Half the distance of the quartiles: no single outlier moves it.
            low, high = values[count // 4], values[count - 1 - count // 4]
            sigma = max((high - low) / 1.349, 1e-6 * abs(middle), 1e-9)
            total = square = 0.0
            n = 0
            for k in range(count):
                if abs(values[k] - middle) <= clip * sigma:
                    total += values[k] - middle
                    square += (values[k] - middle) ** 2
                    n += 1
            mean[j, i] = middle + total / n
            error[j, i] = max(square / n - (total / n) ** 2, 0.0) / max(n - 1, 1)
            used[j, i] = n


def robust_stack(images, clip=4.0):
    """Return the clipped mean of images with its squared standard error.

    Parameters
    ----------
    images : sequence of ndarray, shape (ny, nx)
        At least 3.
    clip : float
        In sigma, estimated from the quartiles of each pixel.

    Returns
    -------
    mean, variance : ndarray of float32
        The variance is that of the mean, from the scatter of the frames that were kept.
    """
    if len(images) < 3:
        raise TooFewFrames(
            f"robust_stack got {len(images)} frames; it needs 3 to tell an outlier", "take more calibration frames"
        )
    stack = np.stack([np.asarray(image, np.float32) for image in images])
    mean, error = np.empty(stack.shape[1:], np.float32), np.empty(stack.shape[1:], np.float32)
    _clipped_mean(stack, clip, mean, error, np.empty(stack.shape[1:], np.int32))
    return mean, error


def _master(kind, exposures, mean, variance, mask=None):
    first = exposures[0]
    mask = np.zeros(first.shape, np.int32) if mask is None else mask
    midpoint = float(np.mean([e.observation.midpoint_tai for e in exposures]))
    observation = first.observation.with_(kind=kind, snap=0, midpoint_tai=midpoint)
    note = f"master {kind}: clipped mean of {len(exposures)} frames"
    return first.with_(note, pixels=MaskedImage(mean, mask, variance), observation=observation)


def master_bias(exposures):
    """Stack bias frames (free of overscan, assembled, in counts), and take what columns have in common."""
    return _master("bias", exposures, *_smooth_columns(*robust_stack([e.pixels.image for e in exposures])))


def _smooth_columns(mean, error, *, rows=64, clip=5.0, uneven=1.5):
    """Return a stack whose pixels have the median of `rows` rows of their column, where they show nothing else.

    The noise of a mean of few frames would go into every exposure, and be the same in both Snaps of a Visit.

    Parameters
    ----------
    mean, error : ndarray
        Of the stack; the error is squared.
    clip : float
        Sigma beyond which a pixel shows a structure of its own.
    uneven : float
        Times the error that the frames tell: a column that scatters by more has all pixels' own structure.
    """
    mean, error = mean.copy(), error.copy()
    for top in range(0, len(mean), rows):
        block, noise = mean[top : top + rows], error[top : top + rows]
        level = np.median(block, axis=0)
        apart = np.abs(block - level)
        sigma = 1.4826 * np.median(apart, axis=0)
        common = (apart <= clip * sigma) & (sigma < uneven * np.sqrt(noise.mean(axis=0)))
        np.copyto(block, level, where=common)
        np.copyto(noise, np.pi / 2 * sigma**2 / len(block), where=common)
    return mean, error


def master_dark(exposures, hot=20.0):
    """Stack dark frames (free of bias, in electrons) to electrons a second; hot pixels become BAD.

    Parameters
    ----------
    hot : float
        A pixel is hot beyond so many robust sigma of all pixels.
    """
    rates = [e.pixels.image / np.float32(e.observation.exposure_seconds) for e in exposures]
    mean, variance = robust_stack(rates)
    middle = np.median(mean)
    sigma = 1.4826 * np.median(np.abs(mean - middle))
    master = _master("dark", exposures, mean, variance)
    return master.with_(pixels=master.pixels.with_flag(mean > middle + hot * max(sigma, 1e-9), "BAD"))


def master_flat(exposures, dead=0.5):
    """Stack flat fields (free of bias and dark), each divided by its median, to a mean of 1.

    Parameters
    ----------
    dead : float
        A pixel of less response becomes BAD.
    """
    scaled = [e.pixels.image / np.median(e.pixels.image[~e.pixels.unusable]) for e in exposures]
    mean, variance = robust_stack(scaled)
    level = np.mean(mean, dtype=float)
    master = _master("flat", exposures, mean / np.float32(level), variance / np.float32(level**2))
    return master.with_(pixels=master.pixels.with_flag(master.pixels.image < dead, "BAD"))


def star_flat(exposure, light):
    """Return the flat that stars give that drift over the detector of a science exposure.

    Raises
    ------
    NoStarFlat
    """
    response = fit_star_flat(light, exposure.shape)
    return _master("flat", [exposure], response, np.zeros_like(response))


def fixed_pattern(exposures, unstable=3.0):
    """Return a dark in electrons a second from science frames that drift over the sky.

    For a camera without calibration frames: stars move from pixel to pixel, hot pixels and dark columns stay.
    Each frame is free of its sky; the median of the pixels is the pattern. What a pixel changes by from frame to frame
    goes into its variance where that is more than `unstable` times its neighbours': it flickers.
    """
    seconds = [np.float32(e.observation.exposure_seconds) for e in exposures]
    stack = np.stack([e.pixels.image / s for e, s in zip(exposures, seconds, strict=True)])
    # Between these quantiles lie both states of a pixel that has two, and few of the stars that pass.
    low, middle, high = np.quantile(stack, (0.16, 0.5, 0.84), axis=0).astype(np.float32)
    scatter = (high - low) / 2
    flicker = np.where(scatter > unstable * median_filter(scatter, 15), scatter, 0)
    variance = 1.5708 * scatter**2 / len(stack) + flicker**2  # a median's, and the pixel's own
    return _master("dark", exposures, middle, variance)
