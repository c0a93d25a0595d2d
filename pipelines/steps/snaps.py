"""Compare the Snaps of a Visit, flag the cosmic rays in each, and add them up."""

from functools import reduce
from itertools import combinations

import numpy as np
from scipy.ndimage import binary_propagation, minimum_filter

from pipelines.image import bits
from pipelines.image.masked import grow
from pipelines.steps.conditions import BadInput

BLEED = 2.5  # pixels round saturation in which Snaps differ


class MissingSnap(BadInput):
    """A Visit without Snaps, or with Snaps that don't belong together."""

    condition = "missing_snap"


def check_snaps(snaps):
    """Raise MissingSnap where there are none, or they are of different detectors, bands or shapes."""
    kinds = {(s.observation.instrument, s.observation.detector, s.observation.band, s.shape) for s in snaps}
    if len(kinds) != 1:
        raise MissingSnap(
            f"got {len(snaps)} Snaps of {len(kinds)} kinds of exposure; a Visit needs Snaps of one detector and band",
            "wait for the missing Snap, or process the Visit with the Snaps that there are",
        )


def flag_cosmic_rays(snaps, threshold=5.0, edge=2.5, mismatch=0.03):
    """Flag as CR what one Snap has more than another, beyond noise.

    A pixel is hit where it exceeds the other Snap by `threshold` sigma; its neighbours join above `edge` sigma.
    Stars differ between Snaps by seeing and tracking: `mismatch` of the fainter Snap's light, the least of the
    neighbourhood, counts as noise, so that only the cores of bright stars lose sensitivity. Next to saturation
    nothing is flagged: charge bleeds differently in each Snap.

    Parameters
    ----------
    snaps : sequence of Exposure
        Two or more, aligned, with variance.

    Returns
    -------
    list of Exposure
    """
    check_snaps(snaps)
    hit = [np.zeros(snaps[0].shape, bool) for _ in snaps]
    for first, second in combinations(range(len(snaps)), 2):
        one, two = snaps[first].pixels, snaps[second].pixels
        light = minimum_filter(np.minimum(one.image, two.image), 3)
        light -= np.median(light[::8, ::8])
        noise = np.sqrt(one.variance + two.variance + (mismatch * np.maximum(light, 0)) ** 2)
        excess = (one.image - two.image) / noise
        excess -= np.median(excess[::8, ::8])  # the sky may brighten from one Snap to the next
        excess[grow(one.flagged("SAT") | two.flagged("SAT"), BLEED)] = 0
        for index, sign in ((first, 1), (second, -1)):
            hit[index] |= _connected(sign * excess, threshold, edge)
    return [
        snap.with_(f"cosmic rays: {where.sum()} pixels", pixels=snap.pixels.with_flag(where, "CR"))
        for snap, where in zip(snaps, hit, strict=True)
    ]


def _connected(excess, threshold, edge):
    """Return the pixels above `edge` that touch, through each other, one above `threshold`."""
    seeds = excess > threshold
    if not seeds.any():
        return seeds
    return binary_propagation(seeds, structure=np.ones((3, 3)), mask=excess > edge)


def combine_snaps(snaps):
    """Add the Snaps of a Visit: image and variance are the sums (LDM-151, 3.2).

    A pixel that one Snap lost to a cosmic ray takes the mean of the others instead, with their variance, and
    keeps the flag CR: no measurement uses it, but no convolution rings at it either.

    Returns
    -------
    Exposure
        Snap 0; its midpoint is weighted by exposure time.

    Raises
    ------
    MissingSnap
    """
    check_snaps(snaps)
    image = np.sum([s.pixels.image for s in snaps], axis=0, dtype=np.float32)
    variance = np.sum([s.pixels.variance for s in snaps], axis=0, dtype=np.float32)
    mask = reduce(np.bitwise_or, (s.pixels.mask for s in snaps))
    hit = (mask & bits("CR")) != 0
    clean = np.array([~s.pixels.flagged("CR")[hit] for s in snaps])
    factor = len(snaps) / np.maximum(clean.sum(axis=0), 1)
    image[hit] = factor * np.sum([c * s.pixels.image[hit] for c, s in zip(clean, snaps, strict=True)], axis=0)
    variance[hit] = factor**2 * np.sum([c * s.pixels.variance[hit] for c, s in zip(clean, snaps, strict=True)], axis=0)
    seconds = np.array([s.observation.exposure_seconds for s in snaps])
    midpoint = np.average([s.observation.midpoint_tai for s in snaps], weights=seconds)
    observation = snaps[0].observation.with_(
        snap=0, exposure_seconds=float(seconds.sum()), midpoint_tai=float(midpoint)
    )
    note = f"snaps: sum of {len(snaps)}"
    return snaps[0].with_image(image, note, variance=variance, mask=mask).with_(observation=observation)
