"""Instruments as data: one YAML file each, read into frozen dataclasses."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from db.errors import HvenError

FOLDER = Path(__file__).parent


class UnknownInstrument(HvenError):
    """An instrument without a description."""

    exit_status = 66


@dataclass(frozen=True)
class Amplifier:
    """One readout channel.

    Boxes are (x_lo, x_hi, y_lo, y_hi) in pixels from 0, upper ends excluded.

    Parameters
    ----------
    box : tuple of int
        Its place on the assembled detector.
    gain : float
        Electrons per count.
    read_noise : float
        Electrons.
    hdu : int, optional
        FITS extension that holds it alone; None where the whole detector is one array.
    data, overscan : tuple of int, optional
        Boxes of light-sensitive and overscan pixels in the raw array; None: all of it, and no overscan.
    flip_x, flip_y : bool
        Is the raw array mirrored against the detector?
    linearity : tuple of float
        Coefficients c2, c3 … of true = c + c2 c² + c3 c³ … in counts.
    """

    name: str
    box: tuple
    gain: float
    read_noise: float
    hdu: int | None = None
    data: tuple | None = None
    overscan: tuple | None = None
    flip_x: bool = False
    flip_y: bool = False
    linearity: tuple = ()


@dataclass(frozen=True)
class Detector:
    """One CCD: shape (rows, columns), amplifiers, saturation in counts, boxes of bad pixels.

    `pedestal` is the bias level in counts of a camera with neither overscan nor bias frames. `boresight` is the
    pixel (x, y) of the optical axis, and `crosstalk[victim][source]` the share of each amplifier that shows in another.
    """

    number: int
    shape: tuple
    saturation: float
    amplifiers: tuple
    bad: tuple = ()
    pedestal: float = 0.0
    crosstalk: tuple = ()
    boresight: tuple | None = None


@dataclass(frozen=True)
class Instrument:
    """A camera on a telescope: detectors, header translation, bands and the reference catalogue to use.

    `snaps` is the number of Snaps of a Visit, `reliability` the model that scores its DiaSources; `zeropoints` are the
    AB magnitudes of one electron a second through a clear sky, by band, as far as they are known.
    """

    name: str
    description: str
    pixel_scale: float
    layout: str
    header: dict
    detectors: tuple
    bands: dict = field(default_factory=dict)
    site: dict | None = None
    reference: dict | None = None
    snaps: int = 1
    zeropoints: dict = field(default_factory=dict)
    reliability: str = "reliability"

    def detector(self, number):
        """Return the detector of this number."""
        return next(d for d in self.detectors if d.number == number)


def available():
    """Names of the shipped instruments."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def instrument(name):
    """Return the shipped instrument `name`.

    Raises
    ------
    UnknownInstrument
        Where no such description is shipped.
    """
    if name not in available():
        raise UnknownInstrument(
            f"instrument() got '{name}'; shipped are {', '.join(available())}",
            "add a YAML file to pipelines/instruments, or pass its path to read_instrument()",
        )
    return read_instrument(FOLDER / f"{name}.yaml")


def read_instrument(path):
    """Read an instrument's description from any YAML file."""
    text = yaml.safe_load(Path(path).read_text())
    text["detectors"] = tuple(_detector(d) for d in text["detectors"])
    return Instrument(**text)


def _detector(text):
    amplifiers = tuple(Amplifier(**_tuples(a)) for a in text.pop("amplifiers"))
    return Detector(amplifiers=amplifiers, **_tuples(text))


def _tuples(mapping):
    def freeze(value):
        return tuple(freeze(v) for v in value) if isinstance(value, list) else value

    return {key: freeze(value) for key, value in mapping.items()}
