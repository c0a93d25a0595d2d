"""Telemetry of an imagined observatory: what its Engineering and Facility Database would hold of some nights."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SECONDS = 86400


@dataclass(frozen=True)
class Topic:
    """A topic of telemetry: fields with unit, mean, amplitude over the day, and noise."""

    name: str
    description: str
    period_s: float
    fields: Mapping[str, tuple[str, float, float, float]]


TOPICS = (
    Topic("mount", "Pointing of the telescope", 1,
          {"azimuth": ("deg", 180, 170, 0.01), "elevation": ("deg", 60, 25, 0.01)}),
    Topic("rotator", "Rotator of the camera", 1, {"angle": ("deg", 0, 60, 0.01)}),
    Topic("dome", "Dome", 5, {"azimuth": ("deg", 180, 170, 0.3), "shutter_open": ("%", 50, 50, 0)}),
    Topic("focus", "Hexapod of the camera", 10, {"z": ("um", 120, 40, 2), "temperature": ("deg_C", 8, 3, 0.05)}),
    Topic("weather", "Mast outside", 15, {
        "temperature": ("deg_C", 9, 4, 0.1), "pressure": ("hPa", 745, 1, 0.05), "humidity": ("%", 30, 10, 1),
        "wind_speed": ("m/s", 6, 3, 0.8),
    }),
    Topic("seeing_monitor", "Seeing at the zenith, 500 nm", 60, {"fwhm": ("arcsec", 0.75, 0.2, 0.05)}),
    Topic("transparency", "All-sky camera", 30, {"cloud": ("mag", 0.05, 0.05, 0.02)}),
    *(
        Topic(f"detector_{number:02d}", f"Temperature and bias of detector {number}", 30,
              {"temperature": ("K", 173, 0.1, 0.01), "bias_voltage": ("V", -50, 0.02, 0.005)})
        for number in range(13)
    ),
)


def samples(topic: Topic, first_tai: float, days: float, seed: int = 1) -> dict[str, np.ndarray]:
    """Return the samples of a topic: `time_tai` (MJD) and one array a field.

    A sample in a thousand is missing, and a value in a thousand is NaN, as in life.
    """
    random = np.random.default_rng([seed, sum(topic.name.encode())])
    count = int(days * SECONDS / topic.period_s)
    time = first_tai + (np.arange(count) + random.uniform(0, 0.5, count)) * topic.period_s / SECONDS
    time = time[random.random(count) >= 1e-3]
    columns = {"time_tai": time}
    for name, (_, mean, amplitude, noise) in topic.fields.items():
        value = mean + amplitude * np.sin(2 * np.pi * time) + random.normal(0, noise or 1e-9, time.size)
        columns[name] = np.where(random.random(time.size) < 1e-3, np.nan, value)
    return columns
