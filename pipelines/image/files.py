"""Exposures as self-describing FITS: extensions IMAGE, MASK, VARIANCE and, where known,
PSF, NOISECOR, POLYGON and PROVENANCE.
"""

import gzip
import io
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.compressed import _codecs
from astropy.table import Table

from db.errors import HvenError
from pipelines.image.exposure import Exposure, Observation
from pipelines.image.masked import MASK_PLANES, MaskedImage
from pipelines.image.photocalib import PhotoCalib
from pipelines.image.psf import Psf
from pipelines.image.varying import VaryingImage
from pipelines.image.wcs import Wcs

# A gzip stream holds the time of its making, by which the same exposure would give other bytes each second.
_codecs.gzip_compress = partial(gzip.compress, mtime=0)
DITHER_SEED = 1601  # fixed, so that the same exposure gives the same bytes and the same checksum

KEYWORDS = {  # Observation field: (keyword, comment)
    "instrument": ("INSTRUME", "name of the instrument's description"),
    "detector": ("DETECTOR", "detector number"),
    "snap": ("SNAP", "snap number, 0 = sum of the visit's snaps"),
    "kind": ("EXPKIND", "raw, calibrated, difference, template"),
    "band": ("BAND", "filter band"),
    "midpoint_tai": ("MJD-AVG", "[d] middle of the exposure, TAI"),
    "exposure_seconds": ("EXPTIME", "[s] open-shutter time"),
    "sequence": ("SEQNUM", "sequence number of the night"),
}


class DamagedFile(HvenError):
    """A file that is not the FITS file it should be."""

    exit_status = 65


def write_exposure(exposure, path, *, compress=True):
    """Write an exposure as multi-extension FITS.

    IMAGE and VARIANCE are Rice-compressed float32, quantised to 1/16 of the noise with a fixed dither seed;
    MASK is GZIP_2. The mask's header names the bits as MP_<plane>. Times are TAI.

    Parameters
    ----------
    exposure : Exposure
    path : path-like or file object
    compress : bool
        False writes plain float32 extensions, exact to the bit.
    """
    fits.HDUList(_hdus(exposure, compress)).writeto(path, overwrite=True)


def exposure_bytes(exposure, *, compress=True):
    """Return the FITS file of `write_exposure` as bytes."""
    buffer = io.BytesIO()
    write_exposure(exposure, buffer, compress=compress)
    return buffer.getvalue()


def _hdus(exposure, compress):
    pixels = exposure.pixels
    lossy = {
        "compression_type": "RICE_1",
        "quantize_level": 16,
        "quantize_method": 1,
        "dither_seed": DITHER_SEED,
    }
    lossless = {"compression_type": "GZIP_2", "quantize_level": 0}

    def extension(data, name, header=None, options=lossless):
        if compress and min(data.shape) > 1:
            return fits.CompImageHDU(data, header, name=name, **options)
        return fits.ImageHDU(data, header, name=name)

    mask_header = fits.Header({f"HIERARCH MP_{plane}": bit for bit, plane in enumerate(MASK_PLANES)})
    image_options = lossy if pixels.image.dtype.kind == "f" else lossless
    hdus = [
        fits.PrimaryHDU(header=_primary_header(exposure)),
        extension(pixels.image, "IMAGE", _image_header(exposure), image_options),
        extension(pixels.mask, "MASK", mask_header),
        extension(pixels.variance, "VARIANCE", None, lossy),
    ]
    if exposure.psf is not None:
        header = fits.Header(
            {
                "OVERSAMP": exposure.psf.oversampling,
                "PSFROWS": exposure.psf.model.shape[0],
                "PSFCOLS": exposure.psf.model.shape[1],
            }
        )
        hdus.append(fits.ImageHDU(exposure.psf.model.planes, header, name="PSF"))
    if exposure.noise_correlation is not None:
        hdus.append(fits.ImageHDU(exposure.noise_correlation, name="NOISECOR"))
    if exposure.valid_polygon is not None:
        hdus.append(fits.table_to_hdu(Table(exposure.valid_polygon, names=("x", "y"))))
        hdus[-1].name = "POLYGON"
    if exposure.provenance:
        hdus.append(fits.table_to_hdu(Table([list(exposure.provenance)], names=["step"])))
        hdus[-1].name = "PROVENANCE"
    return hdus


def _primary_header(exposure):
    header = fits.Header([("TIMESYS", "TAI", "time system of this file")])
    for name, (keyword, comment) in KEYWORDS.items():
        value = getattr(exposure.observation, name)
        if value is not None:
            header[keyword] = (value, comment)
    if exposure.observation.boresight is not None:
        header["RA"], header["DEC"] = exposure.observation.boresight
    return header


def _image_header(exposure):
    header = exposure.wcs.header if exposure.wcs is not None else fits.Header()
    header["LTV1"] = (-exposure.pixels.x0, "pixel here = pixel of the parent + LTV1")
    header["LTV2"] = (-exposure.pixels.y0, "pixel here = pixel of the parent + LTV2")
    if exposure.photo_calib is not None:
        header["NJYCOUNT"] = (exposure.photo_calib.nanojansky_per_count, "[nJy] flux of one count")
        header["NJYERR"] = (exposure.photo_calib.err, "[nJy] error of NJYCOUNT")
    for number, (radius, part) in enumerate(sorted(exposure.aperture_corrections.items())):
        header[f"APRAD{number}"] = (radius, "[pixel] aperture radius")
        header[f"APCOR{number}"] = (part, "part of a star's flux inside")
    return header


def read_exposure(path):
    """Read an exposure that `write_exposure` wrote.

    Raises
    ------
    DamagedFile
        Where the file is truncated, is not FITS or lacks an extension.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            return _exposure(hdus)
    except (OSError, KeyError, TypeError, ValueError) as error:
        name = Path(path).name if isinstance(path, str | Path) else "stream"
        raise DamagedFile(
            f"read_exposure got {name}, which is no readable exposure ({error}); "
            "it must hold the extensions IMAGE, MASK and VARIANCE",
            "fetch the file again and compare its sha256 with the file's row",
        ) from error


def _exposure(hdus):
    primary, header = hdus[0].header, hdus["IMAGE"].header
    pixels = MaskedImage(
        *(
            np.asarray(hdus[name].data, hdus[name].data.dtype.newbyteorder("="))
            for name in ("IMAGE", "MASK", "VARIANCE")
        ),
        x0=-int(header.get("LTV1", 0)),
        y0=-int(header.get("LTV2", 0)),
    )
    boresight = (primary["RA"], primary["DEC"]) if "RA" in primary else None
    observation = Observation(
        **{name: primary.get(keyword) for name, (keyword, _) in KEYWORDS.items()}, boresight=boresight
    )
    psf = None
    if "PSF" in hdus:
        psf_header = hdus["PSF"].header
        planes = np.asarray(hdus["PSF"].data, float)
        psf = Psf(VaryingImage(planes, (psf_header["PSFROWS"], psf_header["PSFCOLS"])), psf_header["OVERSAMP"])
    radii = [n for n in range(100) if f"APRAD{n}" in header]
    return Exposure(
        pixels,
        observation,
        wcs=Wcs.from_header(header) if "CTYPE1" in header else None,
        psf=psf,
        photo_calib=PhotoCalib(header["NJYCOUNT"], header["NJYERR"]) if "NJYCOUNT" in header else None,
        aperture_corrections={header[f"APRAD{n}"]: header[f"APCOR{n}"] for n in radii},
        valid_polygon=np.stack([hdus["POLYGON"].data[c] for c in "xy"], axis=-1) if "POLYGON" in hdus else None,
        noise_correlation=np.asarray(hdus["NOISECOR"].data, float) if "NOISECOR" in hdus else None,
        provenance=tuple(str(line) for line in hdus["PROVENANCE"].data["step"]) if "PROVENANCE" in hdus else (),
    )
