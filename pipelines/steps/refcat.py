"""Reference stars: structured arrays with ra, dec [deg, ICRS at the catalogue's epoch] and magnitude."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from pipelines.steps.conditions import BadInput

REFERENCE = np.dtype([("ra", "f8"), ("dec", "f8"), ("magnitude", "f8")])
TYCHO2 = Path("/usr/share/astrometry/index-tycho2-07.littleendian.fits")
"""Tycho-2 in Debian's package astrometry-data-tycho2-07-littleendian, without proper motions."""
TYCHO2_EPOCH, TYCHO2_BAND = 2000.0, "V_T"


class NoReference(BadInput):
    """No reference stars where the exposure points."""

    condition = "no_reference_stars"


def reference(ra, dec, magnitude):
    """Return reference stars as one structured array; stars without a position are left out."""
    stars = np.zeros(len(ra), REFERENCE)
    stars["ra"], stars["dec"], stars["magnitude"] = ra, dec, magnitude
    return stars[np.isfinite(stars["ra"]) & np.isfinite(stars["dec"])]


def tycho2(ra, dec, radius_deg, index=TYCHO2):
    """Return the Tycho-2 stars (Høg+ 2000) of a cone, magnitude V_T, from an astrometry.net index.

    Raises
    ------
    NoReference
        Where the index, or its reader query-starkd, is not installed, or the cone is empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "stars.fits")
        command = ["query-starkd", "-T", "-r", ra, "-d", dec, "-R", radius_deg, "-o", out, index]
        try:
            subprocess.run([str(word) for word in command], check=True, capture_output=True)
            table = fits.getdata(out)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoReference(
                f"tycho2() got nothing from {index} by query-starkd ({error})",
                "apt-get install astrometry.net astrometry-data-tycho2-07-littleendian",
            ) from error
    return reference(table["RA"], table["DEC"], table["MAG_VT"])
