"""What every step that applies a master calibration checks first."""

from pipelines.steps.conditions import BadInput


class WrongCalibration(BadInput):
    """A master calibration that does not belong to the exposure."""

    condition = "wrong_calibration"


def check_fits(exposure, master, kind):
    """Raise WrongCalibration where the master is of another kind, detector, band (of a flat) or shape."""
    science, calibration = exposure.observation, master.observation
    wanted = [kind, science.instrument, science.detector, exposure.shape]
    got = [calibration.kind, calibration.instrument, calibration.detector, master.shape]
    if kind == "flat":
        wanted.append(science.band)
        got.append(calibration.band)
    if wanted != got:
        raise WrongCalibration(
            f"the step {kind} got a master of {got}; the exposure needs {wanted}",
            "look up the calibration products that are valid for this exposure",
        )
