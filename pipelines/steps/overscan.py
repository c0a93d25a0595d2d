"""Subtract the overscan of each amplifier, trim it, and join the amplifiers to the detector."""

import numpy as np

from pipelines.image import MaskedImage, assemble, bits


def subtract_overscan(segment, amplifier, saturation, pedestal=0.0):
    """Remove one amplifier's overscan level, flag saturation on the raw counts, and trim.

    The level is smoothed along the rows, so that the correction adds little noise.

    Parameters
    ----------
    segment : Exposure
        Raw counts with overscan.
    amplifier : Amplifier
    saturation : float
        Raw counts from which a pixel counts as saturated.
    pedestal : float
        Level to subtract where the amplifier has no overscan.
    """
    raw = segment.pixels.image
    data = _cut(raw, amplifier.data) if amplifier.data else raw
    mask = np.where(data >= saturation, np.int32(bits("SAT")), np.int32(0))
    image = data.astype(np.float32)
    if amplifier.overscan:
        image -= overscan_level(_cut(raw, amplifier.overscan))[: len(image), None]
    else:
        image -= np.float32(pedestal)
    image, mask = image[_flips(amplifier)], mask[_flips(amplifier)]
    x0, _, y0, _ = amplifier.box
    return segment.with_(pixels=MaskedImage(image, mask, np.zeros(image.shape, np.float32), x0, y0))


def overscan_level(strip, width=21):
    """Return the level of each row of an overscan strip, by a running median of the rows' trimmed means.

    A median of whole counts would be wrong by up to half a count.
    """
    quarter = strip.shape[1] // 4
    rows = np.sort(strip, axis=1)[:, quarter : strip.shape[1] - quarter].mean(axis=1, dtype=np.float32)
    width = min(width, len(rows) | 1)
    padded = np.pad(rows, width // 2, mode="reflect" if len(rows) > width // 2 else "edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)[: len(rows)]


def assemble_detector(segments, detector):
    """Join trimmed segments into one Exposure of the detector; bad regions are flagged BAD."""
    pixels = assemble([s.pixels for s in segments], detector.shape)
    bad = np.zeros(detector.shape, bool)
    for box in detector.bad:
        _cut(bad, box)[:] = True
    first = segments[0]
    return first.with_(f"assemble: {len(segments)} amplifiers", pixels=pixels.with_flag(bad, "BAD"))


def _cut(array, box):
    x_lo, x_hi, y_lo, y_hi = box
    return array[y_lo:y_hi, x_lo:x_hi]


def _flips(amplifier):
    return np.s_[:: -1 if amplifier.flip_y else 1, :: -1 if amplifier.flip_x else 1]
