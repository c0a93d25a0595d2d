"""A camera's masters from its calibration frames, and the instrument's signature off raw frames, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.calibrate.masters import master_bias, master_dark, master_flat
from pipelines.image import Exposure
from pipelines.instruments import Instrument
from pipelines.steps.acquire import read_raw
from pipelines.steps.bias import subtract_bias
from pipelines.steps.crosstalk import correct_crosstalk
from pipelines.steps.dark import subtract_dark
from pipelines.steps.flat import divide_flat
from pipelines.steps.linearity import linearise
from pipelines.steps.overscan import assemble_detector, subtract_overscan
from pipelines.steps.saturation import grow_saturation
from pipelines.steps.variance import to_electrons


@dataclass(frozen=True, eq=False)
class Masters:
    """The master calibrations of one detector and band; None where the camera has none."""

    bias: Exposure | None = None
    dark: Exposure | None = None
    flat: Exposure | None = None


def assembled(raw: Path, camera: Instrument, number: int) -> Exposure:
    """Return a raw frame's detector in counts, without overscan."""
    detector = camera.detector(number)
    segments = [
        subtract_overscan(segment, amplifier, detector.saturation, detector.pedestal)
        for segment, amplifier in zip(read_raw(raw, camera, number), detector.amplifiers, strict=True)
    ]
    return assemble_detector(segments, detector)


def make_masters(frames: dict[str, Sequence[Path]], camera: Instrument, number: int) -> Masters:
    """Return the masters of one detector from raw frames of the kinds bias, dark and flat."""
    detector = camera.detector(number)
    bias = master_bias([assembled(path, camera, number) for path in frames["bias"]])

    def electrons(path: Path) -> Exposure:
        return to_electrons(linearise(subtract_bias(assembled(path, camera, number), bias), detector), detector)

    dark = master_dark([electrons(path) for path in frames["dark"]])
    flat = master_flat([subtract_dark(electrons(path), dark) for path in frames["flat"]])
    return Masters(bias, dark, flat)


def remove_signature(
    raw: Path, camera: Instrument, number: int, masters: Masters, *, crosstalk: bool = False
) -> Exposure:
    """Return one Snap of a detector in electrons, flat, with its variance.

    Parameters
    ----------
    crosstalk : bool
        Is it still in the frame? The night takes the camera's corrected stream.
    """
    detector = camera.detector(number)
    exposure = assembled(raw, camera, number)
    if masters.bias:
        exposure = subtract_bias(exposure, masters.bias)
    exposure = linearise(exposure, detector)
    if crosstalk:
        exposure = correct_crosstalk(exposure, detector)
    exposure = to_electrons(exposure, detector)
    if masters.dark:
        exposure = subtract_dark(exposure, masters.dark)
    if masters.flat:
        exposure = divide_flat(exposure, masters.flat)
    return grow_saturation(exposure)
