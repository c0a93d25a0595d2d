"""Classes of synthetic objects for mini Data Releases: what a science team supplies.

A class is named in the injection file as `module:attribute` and made with the file's `options`. It is pure: what it
draws follows from the generator, what it shows from the parameters. So a rebuild adds the same light again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import galsim
import numpy as np

HOST = np.dtype([("object_id", "i8"), ("ra", "f8"), ("dec", "f8"), ("ixx", "f8"), ("iyy", "f8"), ("ixy", "f8")])
"""An extended Object that may be a host: position [deg, ICRS], second moments [arcsec²]."""


@dataclass(frozen=True)
class Drawn:
    """One synthetic object.

    Parameters
    ----------
    ra, dec : float
        deg, ICRS.
    parameters : mapping of str to number
        All that its light and shape depend on; kept as JSON.
    host : int or None
        Row of its host.
    """

    ra: float
    dec: float
    parameters: Mapping[str, float]
    host: int | None = None


@dataclass(frozen=True)
class Region:
    """Where and when objects are wanted: a cone [deg, ICRS] and times [TAI, MJD]."""

    ra: float
    dec: float
    radius_deg: float
    first_tai: float
    last_tai: float

    def place(self, random: np.random.Generator) -> tuple[float, float]:
        """Return ra and dec of a place drawn evenly over the cone; not for cones that hold a pole."""
        distance = self.radius_deg * np.sqrt(random.uniform())
        angle = random.uniform(0, 2 * np.pi)
        dec = self.dec + distance * np.sin(angle)
        return float((self.ra + distance * np.cos(angle) / np.cos(np.radians(dec))) % 360), float(dec)


class ObjectClass(Protocol):
    """A class of objects: three functions."""

    def draw(self, random: np.random.Generator, region: Region, hosts: np.ndarray) -> Drawn:
        """Return one object.

        Parameters
        ----------
        random : Generator
            The only source of chance.
        region : Region
        hosts : ndarray of HOST
            The extended Objects there; may be empty.
        """

    def flux(self, parameters: Mapping[str, float], band: str, tai: float) -> float:
        """Return the light curve at a time [TAI, MJD] in a band: flux above the atmosphere [nJy]."""

    def profile(self, parameters: Mapping[str, float]) -> galsim.GSObject | None:
        """Return the shape, of flux 1, lengths in arcsec; None for a point source."""


@dataclass(frozen=True)
class Supernova:
    """A point source that rises linearly and fades by e, in a galaxy; its colours are flat in nJy.

    Parameters
    ----------
    brightest, faintest : float
        Peak AB magnitudes between which all are alike frequent.
    rise, decay : float
        days.
    hosted : float
        The share that lies in a host, within twice its half-light extent; the others lie anywhere.
    """

    brightest: float = 18.0
    faintest: float = 24.0
    rise: float = 10.0
    decay: float = 40.0
    hosted: float = 0.7

    def draw(self, random: np.random.Generator, region: Region, hosts: np.ndarray) -> Drawn:
        """Return a supernova that may be seen at some time."""
        magnitude = random.uniform(self.brightest, self.faintest)
        begin = random.uniform(region.first_tai - self.rise - self.decay, region.last_tai)
        parameters = {"magnitude": float(magnitude), "begin_tai": float(begin)}
        if not len(hosts) or random.uniform() > self.hosted:
            return Drawn(*region.place(random), parameters)
        row = int(random.integers(len(hosts)))
        host = hosts[row]
        east, north = random.multivariate_normal([0, 0], [[host["ixx"], host["ixy"]], [host["ixy"], host["iyy"]]])
        ra = (host["ra"] + east / 3600 / np.cos(np.radians(host["dec"]))) % 360
        parameters["separation_arcsec"] = float(np.hypot(east, north))
        return Drawn(float(ra), float(host["dec"] + north / 3600), parameters, row)

    def flux(self, parameters: Mapping[str, float], _band: str, tai: float) -> float:
        """Return the flux at a time [nJy]."""
        age = tai - parameters["begin_tai"]
        shape = 0.0 if age < 0 else age / self.rise if age < self.rise else np.exp(-(age - self.rise) / self.decay)
        return float(10 ** ((31.4 - parameters["magnitude"]) / 2.5) * shape)

    def profile(self, _parameters: Mapping[str, float]) -> None:
        """Return none: it is a point."""


@dataclass(frozen=True)
class Constant:
    """A point source of constant light that no template knows: it begins with the last part of the time.

    Parameters
    ----------
    brightest, faintest : float
        AB magnitudes between which all are alike frequent.
    quiet : float
        The share of the time from the first exposure in which it is dark.
    """

    brightest: float = 18.0
    faintest: float = 24.0
    quiet: float = 0.5

    def draw(self, random: np.random.Generator, region: Region, _hosts: np.ndarray) -> Drawn:
        """Return a source anywhere in the region."""
        begin = region.first_tai + self.quiet * (region.last_tai - region.first_tai)
        magnitude = float(random.uniform(self.brightest, self.faintest))
        return Drawn(*region.place(random), {"magnitude": magnitude, "begin_tai": float(begin)})

    def flux(self, parameters: Mapping[str, float], _band: str, tai: float) -> float:
        """Return the flux at a time [nJy]."""
        return 10 ** ((31.4 - parameters["magnitude"]) / 2.5) if tai >= parameters["begin_tai"] else 0.0

    def profile(self, _parameters: Mapping[str, float]) -> None:
        """Return none: it is a point."""
