"""What association takes for granted."""

import json
from dataclasses import dataclass, fields

from udf.refused import RefusedError


@dataclass(frozen=True)
class Parameters:
    """What association takes for granted.

    Attributes
    ----------
    radius_arcsec : float
        Objects whose mean position is further than this from a detection are not considered.
    missing_err_arcsec, floor_arcsec : float
        Positional error of one axis where none was measured; systematic error added to each in quadrature.
    new_density : float
        Detections of nothing that is known, for each arcsec² and Visit.
    seen_first, seen_again : float
        Probability that an Object without, and with, earlier DiaSources is detected in a Visit.
    seen_source : float
        Probability that an Object is measured as a Source.
    moving_seen : float
        Probability that a predicted MovingObject is detected, with positive flux.
    host_rate : float
        Probability that an extended Object hosts a new point source in a Visit, spread as its footprint's light.
    extended_rate : float
        Probability that an extended Object is itself detected in a Visit, as an extended DiaSource.
    min_reliability : float
        Less reliable detections are rejected.
    most_new : int
        A Visit that would create more Objects is refused.
    """

    radius_arcsec: float = 1.0
    missing_err_arcsec: float = 0.2
    floor_arcsec: float = 0.01
    new_density: float = 1e-4
    seen_first: float = 0.02
    seen_again: float = 0.5
    seen_source: float = 0.9
    moving_seen: float = 0.5
    host_rate: float = 1e-3
    extended_rate: float = 1e-6
    min_reliability: float = 0.1
    most_new: int = 50_000

    @classmethod
    def of(cls, text):
        """Parameters from a JSON object that names some of them."""
        given, allowed = json.loads(text or "{}"), [field.name for field in fields(cls)]
        for name, value in given.items():
            if name not in allowed:
                problem = f"parameter {name} is unknown, allowed are {', '.join(allowed)}"
                raise RefusedError("VN023", problem, "correct the name")
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise RefusedError("VN023", f"parameter {name} is {value}, allowed is a number from 0", "correct it")
        return cls(**given)
