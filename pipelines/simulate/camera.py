"""What a simulated camera does to light: from expected electrons to raw counts of each amplifier.

A detector's defects (`Hardware`) belong to the camera and are the same in every Visit and seed.
"""

import zlib
from dataclasses import dataclass

import numba
import numpy as np

from pipelines.instruments import Detector, Instrument
from pipelines.simulate.exposures import FULL_WELL, bleed
from pipelines.simulate.seeing import core_width

PITCH = 10.0  # µm, side of a pixel
THICKNESS = 100.0  # µm of silicon
RAY_RATE = 5.0  # cosmic rays a minute and cm²
IONISATION = 80.0  # electrons per µm of a track
BIAS_LEVEL = 1000.0  # counts
OVERSCAN = 64  # columns


@dataclass(frozen=True, eq=False)
class Hardware:
    """Faults of one detector.

    Parameters
    ----------
    response : ndarray of float32
        Of each pixel, mean 1: vignetting, half a percent of scatter, dead pixels and columns.
    dark : ndarray of float32
        Electrons a second; one pixel in 10⁴ is hot.
    bias : ndarray of float32
        Structure in counts on top of each amplifier's level: columns, and a glow at the first ones read.
    gain : ndarray, shape (amplifiers,)
        True electrons per count: a percent off what the camera's description says.
    """

    response: np.ndarray
    dark: np.ndarray
    bias: np.ndarray
    gain: np.ndarray


def hardware(camera: Instrument, number: int) -> Hardware:
    """Draw the faults of a detector from the camera's name."""
    detector = camera.detector(number)
    random = np.random.default_rng([zlib.crc32(camera.name.encode()), number])
    rows, columns = detector.shape
    v, u = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij", sparse=True)
    response = (1.01 - 0.02 * (u * u + v * v) / 2) * random.normal(1, 0.005, detector.shape)
    response /= response.mean()
    for x_lo, x_hi, y_lo, y_hi in detector.bad:
        response[y_lo:y_hi, x_lo:x_hi] *= random.uniform(0.1, 0.6)
    dark = random.uniform(0.01, 0.03, detector.shape)
    hot = random.uniform(size=detector.shape) < 1e-4
    dark[hot] = 10 ** random.uniform(0, 2, hot.sum())
    bias = np.zeros(detector.shape, np.float32)
    for amplifier in detector.amplifiers:
        x_lo, x_hi, y_lo, y_hi = amplifier.box
        glow = 8 * np.exp(-np.arange(x_hi - x_lo) / 20.0) + random.normal(0, 1.0, x_hi - x_lo)
        in_reading_order(bias, amplifier)[:] = glow
    gain = np.array([a.gain for a in detector.amplifiers]) * random.normal(1, 0.01, len(detector.amplifiers))
    return Hardware(response.astype(np.float32), dark.astype(np.float32), bias, gain)


def in_reading_order(image, amplifier):
    """Return a view of an amplifier's pixels, the one read first in front."""
    x_lo, x_hi, y_lo, y_hi = amplifier.box
    return image[y_lo:y_hi, x_lo:x_hi][:: -1 if amplifier.flip_y else 1, :: -1 if amplifier.flip_x else 1]


def read_out(expected, detector: Detector, parts: Hardware, seconds: float, random, rays=None):
    """Expose and read a detector.

    Parameters
    ----------
    expected : ndarray of float32
        Electrons that light would free in pixels of mean response, without noise.
    detector : Detector
    parts : Hardware
    seconds : float
        Of dark current.
    random : numpy.random.Generator
    rays : ndarray, optional
        Electrons of cosmic rays.

    Returns
    -------
    raw, corrected : list of ndarray of uint16
        Counts of each amplifier with its overscan; the second without crosstalk, as the camera's own stream.
    full : ndarray of bool
        Pixels at full well.
    """
    charge = random.poisson(expected * parts.response + seconds * parts.dark).astype(np.float32)
    if rays is not None:
        charge += rays
    full = bleed(charge, FULL_WELL)
    signals = [
        _bend(in_reading_order(charge, a) / np.float32(gain), a.linearity)
        for a, gain in zip(detector.amplifiers, parts.gain, strict=True)
    ]
    shares = np.array(detector.crosstalk or np.zeros((len(signals), len(signals))), np.float32)
    raw, corrected = [], []
    for n, amplifier in enumerate(detector.amplifiers):
        height, width = signals[n].shape
        counts = BIAS_LEVEL + 20 * n + _drift(height, random)[:, None]
        counts = counts + random.standard_normal((height, width + OVERSCAN), np.float32) * np.float32(
            amplifier.read_noise / parts.gain[n]
        )
        counts[:, :width] += signals[n] + in_reading_order(parts.bias, amplifier)
        ghost = np.zeros_like(counts)
        for share, signal in zip(shares[n], signals, strict=True):
            ghost[:, :width] += share * signal
        digital = np.clip(np.rint(counts + ghost), 0, 65535)
        raw.append(digital.astype(np.uint16))
        corrected.append(np.clip(np.rint(digital - ghost), 0, 65535).astype(np.uint16))
    return raw, corrected, full


def _drift(rows, random):
    """Wander of the bias level while the rows are read: about a count, smooth over hundreds of rows."""
    knots = random.normal(0, 0.7, rows // 128 + 3)
    return np.interp(np.arange(rows) / 128, np.arange(len(knots)), knots).astype(np.float32)


def _bend(counts, linearity):
    """Return what a non-linear amplifier makes of true counts: the inverse of c + c₂ c²."""
    if not linearity:
        return counts
    if len(linearity) > 1:
        raise NotImplementedError(f"camera got linearity {linearity}; simulated cameras have one coefficient, c2")
    second = np.float32(linearity[0])
    return (2 * counts / (1 + np.sqrt(1 + 4 * second * counts))).astype(np.float32)


def cosmic_rays(shape, seconds, random):
    """Return the electrons that cosmic rays free: straight tracks of muons, and curled ones of electrons.

    Muons come by cos² of the zenith distance through `THICKNESS` of silicon; one ray in four is a slow electron
    that wanders.
    """
    rows, columns = shape
    area = rows * columns * (PITCH * 1e-4) ** 2  # cm²
    image = np.zeros(shape, np.float32)
    for _ in range(random.poisson(RAY_RATE * area * seconds / 60)):
        x, y, angle = random.uniform(0, columns), random.uniform(0, rows), random.uniform(0, 2 * np.pi)
        if random.uniform() < 0.25:
            length, turn = random.uniform(20, 200), 0.5
        else:
            length = THICKNESS / max(random.uniform() ** (1 / 3), 0.05)  # cos θ, of rays ∝ cos² θ
            turn = 0.0
        across = 1.0 if turn else np.sqrt(max(length**2 - THICKNESS**2, 0)) / length
        steps = max(int(length / 2), 1)  # of 2 µm
        heading = angle + turn * np.cumsum(random.normal(size=steps))
        path = length / steps * across / PITCH
        px = x + np.cumsum(path * np.cos(heading)) + random.normal(0, 0.25, steps)  # charge spreads on its way
        py = y + np.cumsum(path * np.sin(heading)) + random.normal(0, 0.25, steps)
        charge = IONISATION * length / steps * random.lognormal(-0.3, 0.8, steps)
        inside = (px >= 0) & (py >= 0) & (px < columns) & (py < rows)
        np.add.at(image, (py[inside].astype(int), px[inside].astype(int)), np.rint(charge[inside]).astype(np.float32))
    return image


@numba.njit(cache=True)
def _add_trail(image, x0, y0, angle, per_pixel, width):
    """Add a line of light with the profile of a Moffat PSF seen along it (β = 3), which moves across."""
    cos, sin, norm = np.cos(angle), np.sin(angle), 8 * per_pixel / (3 * np.pi * width)
    for j in range(image.shape[0]):
        for i in range(image.shape[1]):
            distance = ((j - y0) * cos - (i - x0) * sin) / width
            if abs(distance) < 12:
                image[j, i] += norm / (1 + distance * distance) ** 3


def satellite_trail(image, fwhm, random):
    """Add the trail of a satellite that crosses the image; return x, y, angle and electrons a pixel of length."""
    rows, columns = image.shape
    place = random.uniform(0.2, 0.8) * columns, random.uniform(0.2, 0.8) * rows
    angle, bright = random.uniform(0, np.pi), random.lognormal(np.log(800), 0.8)
    _add_trail(image, *place, angle, bright, core_width(fwhm))
    return *place, angle, bright
