"""A first WCS from where the telescope says that it looks, shifted until its stars fall on the reference's."""

import numpy as np

BRIGHTEST = 400  # detections, and as many reference stars, that vote for a shift


def align(x, y, flux, reference, guess, shape, reach):
    """Return the WCS shifted by what most pairs of bright detections and bright reference stars agree on.

    Parameters
    ----------
    x, y, flux : ndarray
        Detections in pixels and counts.
    reference : ndarray of REFERENCE
    guess : Wcs
    shape : tuple of int
        Rows and columns of the detector.
    reach : float
        Largest shift in pixels along each axis.

    Returns
    -------
    Wcs
        The guess itself where fewer than four pairs agree within 4 pixels.
    """
    ref_x, ref_y = guess.pixel(reference["ra"], reference["dec"])
    inside = np.isfinite(ref_x + ref_y) & (np.abs(ref_x - shape[1] / 2) < shape[1] / 2 + reach)
    inside &= np.abs(ref_y - shape[0] / 2) < shape[0] / 2 + reach
    known = np.flatnonzero(inside)[np.argsort(reference["magnitude"][inside])[:BRIGHTEST]]
    seen = np.argsort(-flux)[:BRIGHTEST]
    shift_x = (x[seen, None] - ref_x[known]).ravel()
    shift_y = (y[seen, None] - ref_y[known]).ravel()
    near = (np.abs(shift_x) < reach) & (np.abs(shift_y) < reach)
    shift_x, shift_y = shift_x[near], shift_y[near]
    bins = np.arange(-reach, reach + 4, 2.0)
    votes, _, _ = np.histogram2d(shift_x, shift_y, bins=(bins, bins))
    votes = votes[:-1, :-1] + votes[1:, :-1] + votes[:-1, 1:] + votes[1:, 1:]  # boxes of 4 pixels, every 2
    if votes.max(initial=0) < 4:
        return guess
    column, row = np.unravel_index(np.argmax(votes), votes.shape)
    agree = (np.abs(shift_x - bins[column + 1]) < 2) & (np.abs(shift_y - bins[row + 1]) < 2)
    return guess.shifted(np.median(shift_x[agree]), np.median(shift_y[agree]))
