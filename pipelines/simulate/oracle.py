"""The truth renderer: the same stars and galaxies as `seeing` and `galaxies`, one by one with GalSim."""

import galsim
import numpy as np

from pipelines.simulate.seeing import AUREOLE, AUREOLE_WIDTH

ACCURACY = galsim.GSParams(folding_threshold=5e-4, maxk_threshold=1e-4, maximum_fft_size=16384)
WIDE = galsim.GSParams(folding_threshold=5e-3, maxk_threshold=1e-4, maximum_fft_size=16384)
"""An aureole falls so slowly that less of its light may fold back: 0.5 % of 1 % of a star."""


def star(fwhm, e1, e2):
    """Return the PSF's core and its aureole as GalSim profiles of flux 1 together, in pixels."""
    core = galsim.Moffat(beta=3.5, fwhm=fwhm, gsparams=ACCURACY).shear(e1=e1, e2=e2)
    aureole = galsim.Moffat(beta=1.5, scale_radius=AUREOLE_WIDTH, gsparams=WIDE)
    return (1 - AUREOLE) * core, AUREOLE * aureole


def galaxy(radius, e1, e2, nu):
    """Return a galaxy of flux 1 with this half-light radius in pixels."""
    return galsim.Spergel(nu=nu, half_light_radius=radius, gsparams=ACCURACY).shear(e1=e1, e2=e2)


def add(image, seeing, x, y, flux, profile=None):
    """Add one star, or a galaxy of (radius, e1, e2, ν), to a float array."""
    core, aureole = star(*seeing.shape(x, y))
    where = galsim.PositionD(x, y)
    parts = [(core, ACCURACY, "auto"), (aureole, WIDE, "no_pixel" if profile is None else "auto")]
    for part, accuracy, method in parts:
        drawn = part if profile is None else galsim.Convolve(part, galaxy(*profile), gsparams=accuracy)
        canvas = galsim.ImageD(np.zeros(image.shape), xmin=0, ymin=0)
        (flux * drawn).drawImage(canvas, scale=1, center=where, method=method)
        image += canvas.array
