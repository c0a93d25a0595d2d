"""An exposure: pixels and what is known of them."""

from dataclasses import dataclass, field, replace

import numpy as np

from pipelines.image.masked import MaskedImage
from pipelines.image.photocalib import PhotoCalib
from pipelines.image.psf import Psf
from pipelines.image.wcs import Wcs

KINDS = ("raw", "calibrated", "difference", "template", "bias", "dark", "flat")


@dataclass(frozen=True)
class Observation:
    """Where and when the pixels come from.

    Parameters
    ----------
    instrument : str
        Name of the instrument's description in `pipelines/instruments`.
    detector, snap : int
        Detector number; Snap 1 … 3, or 0 for the sum of a Visit's Snaps.
    kind : str
        One of `KINDS`.
    band : str
        Name of the filter band.
    midpoint_tai : float
        Middle of the exposure, TAI as MJD.
    exposure_seconds : float
        Open-shutter time.
    sequence : int, optional
        The night's sequence number where the header has one.
    boresight : tuple of float, optional
        Pointing ra, dec in deg as the telescope tells it.
    """

    instrument: str
    detector: int
    snap: int
    kind: str
    band: str
    midpoint_tai: float
    exposure_seconds: float
    sequence: int | None = None
    boresight: tuple | None = None

    def with_(self, **changes):
        """Return a copy with the named fields replaced."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Exposure:
    """A MaskedImage with its observation and, once they are known, WCS, PSF and calibration.

    Immutable: each step returns a new Exposure by `with_`.

    Parameters
    ----------
    pixels : MaskedImage
    observation : Observation
    wcs, psf, photo_calib : optional
        None until a step has fitted them.
    aperture_corrections : dict of float
        Aperture radius in pixels to the part of a point source's flux inside.
    valid_polygon : ndarray, shape (n, 2), optional
        Pixel positions of the corners of the usable region; the whole image by default.
    noise_correlation : ndarray, shape (m, m), optional
        Autocorrelation of the noise, 1 in the middle, of a resampled exposure; None: pixels are independent.
    provenance : tuple of str
        One line for each step that made this exposure: name and what it used or found.
    """

    pixels: MaskedImage
    observation: Observation
    wcs: Wcs | None = None
    psf: Psf | None = None
    photo_calib: PhotoCalib | None = None
    aperture_corrections: dict = field(default_factory=dict)
    valid_polygon: np.ndarray | None = None
    noise_correlation: np.ndarray | None = None
    provenance: tuple = ()

    @property
    def shape(self):
        """Rows and columns."""
        return self.pixels.shape

    def with_(self, note=None, **changes):
        """Return a copy with the named fields replaced and `note` appended to its provenance."""
        provenance = changes.pop("provenance", self.provenance)
        return replace(self, provenance=(*provenance, note) if note else provenance, **changes)

    def with_image(self, image, note=None, **planes):
        """Return a copy with another image (and mask or variance) on the same grid."""
        return self.with_(note, pixels=self.pixels.with_(image=image, **planes))
