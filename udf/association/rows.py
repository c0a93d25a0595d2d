"""What association reads, as arrays: detections, Objects, predicted places of MovingObjects."""

from dataclasses import dataclass

import numpy as np

from udf.plane import Places, measured


@dataclass(frozen=True)
class Detections:
    """The staged DiaSources of a Visit, by id.

    Attributes
    ----------
    ids, healpix29 : ndarray of int64
    places : Places
    extendedness : ndarray
        Probability of being extended; 0 where unknown.
    is_positive : ndarray of bool
        Whether the flux is.
    usable : ndarray of bool
        Not rejected.
    """

    ids: np.ndarray
    healpix29: np.ndarray
    places: Places
    extendedness: np.ndarray
    is_positive: np.ndarray
    usable: np.ndarray


@dataclass(frozen=True)
class Objects:
    """Objects around detections, by id.

    Attributes
    ----------
    ids : ndarray of int64
    places : Places
        Mean positions.
    extendedness : ndarray
        Probability of being extended; 0 where unknown.
    footprints : Places
        The moments of the footprint as covariance, NaN where there is none.
    seen, holds : ndarray of bool
        Whether there are DiaSources; whether it may be matched.
    """

    ids: np.ndarray
    places: Places
    extendedness: np.ndarray
    footprints: Places
    seen: np.ndarray
    holds: np.ndarray


def detections(columns, parameters):
    """Detections of id, ra, dec, ra_err, dec_err, covariance, extendedness, healpix29, is_positive, reliability."""
    ids, ra, dec, ra_err, dec_err, both, extendedness, healpix29, is_positive, reliability = columns
    place = measured(ra, dec, ra_err, dec_err, both, parameters.missing_err_arcsec, parameters.floor_arcsec)
    usable = reliability >= parameters.min_reliability
    return Detections(ids, healpix29, place, np.nan_to_num(extendedness), is_positive, usable)


def objects(columns, before, parameters):
    """Objects, and the range in which each was found.

    Parameters
    ----------
    columns : list of ndarray
        range (-1 for Objects that were found otherwise), id, ra, dec, ra_err, dec_err, covariance, extendedness, ixx,
        iyy, ixy, number of DiaSources (-1 if withdrawn); an Object may be found several times.
    before : mapping
        Lists of Objects, or None: `linked` to what the Visit keeps of an earlier pass, which are not to be had again,
        and `freed` by what is replaced, which are to be had even if they were withdrawn.

    Returns
    -------
    Objects
    number, row : ndarray of int
        Number of a range, and row of an Object.
    """
    number, all_ids, *columns = columns
    ids, first, row = np.unique(all_ids, return_index=True, return_inverse=True)
    ra, dec, ra_err, dec_err, both, extendedness, ixx, iyy, ixy, dia_sources = (column[first] for column in columns)
    place = measured(ra, dec, ra_err, dec_err, both, parameters.missing_err_arcsec, 0.0)
    holds = (dia_sources >= 0) | np.isin(ids, before["freed"] or [])
    holds &= ~np.isin(ids, before["linked"] or [])
    footprints = Places(ra, dec, ixx, iyy, ixy)
    return Objects(ids, place, np.nan_to_num(extendedness), footprints, dia_sources > 0, holds), number, row


def predictions(columns, parameters):
    """Ids and places of predictions: id, ra, dec, ra_err, dec_err, covariance."""
    ids, ra, dec, ra_err, dec_err, both = columns
    return ids, measured(ra, dec, ra_err, dec_err, both, parameters.missing_err_arcsec, 0.0)


def seen_before(found, object_ids):
    """Those of the Objects found that are in a list and had DiaSources before."""
    objects = found[0]
    return objects.ids[objects.seen & np.isin(objects.ids, object_ids)]
