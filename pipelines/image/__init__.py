"""Image types: MaskedImage, Exposure and what an Exposure carries. Public API for users' own pixel work."""

from pipelines.image.exposure import Exposure, Observation
from pipelines.image.files import read_exposure, write_exposure
from pipelines.image.masked import MASK_PLANES, UNUSABLE, MaskedImage, assemble, bits
from pipelines.image.photocalib import PhotoCalib
from pipelines.image.psf import Psf
from pipelines.image.varying import VaryingImage
from pipelines.image.wcs import Wcs

__all__ = [
    "MASK_PLANES",
    "UNUSABLE",
    "Exposure",
    "MaskedImage",
    "Observation",
    "PhotoCalib",
    "Psf",
    "VaryingImage",
    "Wcs",
    "assemble",
    "bits",
    "read_exposure",
    "write_exposure",
]
