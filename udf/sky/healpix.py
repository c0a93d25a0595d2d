"""HEALPix, NESTED, on arrays: positions to pixels, pixel centres, neighbours (Górski+ 2005, ApJ 622, 759).

The arithmetic of `pixels` is that of healpix_cxx's ``loc2pix`` behind ``healpy.ang2pix(…, nest=True,
lonlat=True)``, rounding included: healpy is the reference, and a pixel is part of ids.
"""

import numpy as np

# The face across each side (row: S SE E SW centre NE W NW N; column: face) and how x, y turn there, by zone
# (1: x flips, 2: y flips, 4: they swap). -1: three faces meet, nothing lies in that corner.
FACES = np.array(
    [
        [8, 9, 10, 11, -1, -1, -1, -1, 10, 11, 8, 9],
        [5, 6, 7, 4, 8, 9, 10, 11, 9, 10, 11, 8],
        [-1, -1, -1, -1, 5, 6, 7, 4, -1, -1, -1, -1],
        [4, 5, 6, 7, 11, 8, 9, 10, 11, 8, 9, 10],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        [1, 2, 3, 0, 0, 1, 2, 3, 5, 6, 7, 4],
        [-1, -1, -1, -1, 7, 4, 5, 6, -1, -1, -1, -1],
        [3, 0, 1, 2, 3, 0, 1, 2, 4, 5, 6, 7],
        [2, 3, 0, 1, -1, -1, -1, -1, 0, 1, 2, 3],
    ]
)
TURNS = np.array([[0, 0, 3], [0, 0, 6], [0, 0, 0], [0, 0, 5], [0, 0, 0], [5, 0, 0], [0, 0, 0], [6, 0, 0], [3, 0, 0]])
RING = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])  # of each face's southern corner, in units of nside
COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])  # of each face's centre, in units of 45 deg
EVEN_BITS = 0x5555555555555555
SPREADING = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, EVEN_BITS),
)
GATHERING = (
    (1, 0x3333333333333333),
    (2, 0x0F0F0F0F0F0F0F0F),
    (4, 0x00FF00FF00FF00FF),
    (8, 0x0000FFFF0000FFFF),
    (16, 0xFFFFFFFF),
)


def pixels(ra, dec, order=29):
    """NESTED pixels of positions, equal to healpy's.

    Parameters
    ----------
    ra, dec : ndarray of float
        ICRS [deg]; any finite right ascension, declination within ±90.
    order : int
        nside is 2**order.

    Returns
    -------
    ndarray of int64
    """
    x, y, face = face_coordinates(np.asarray(ra, float), np.asarray(dec, float), order)
    return join(x, y, face, order)


def face_coordinates(ra, dec, order):
    """x, y (int64, 0 to nside - 1, to the north-east and north-west) and face of positions [deg]."""
    nside = np.int64(1) << order
    theta = np.pi / 2 - np.radians(dec)
    z = np.cos(theta)
    column = np.fmod(np.radians(ra) * 0.6366197723675813430755350534900574, 4.0)
    column = np.where(column < 0, column + 4.0, column)
    column = np.where(column == 4.0, 0.0, column)
    far, near = nside * (0.5 + column), nside * (z * 0.75)
    jp, jm = (far - near).astype(np.int64), (far + near).astype(np.int64)
    fp, fm = jp >> order, jm >> order
    face = np.where(fp == fm, fp | 4, np.where(fp < fm, fp, fm + 8))
    x, y = jm & (nside - 1), nside - 1 - (jp & (nside - 1))
    polar = np.flatnonzero(np.abs(z) > 2.0 / 3.0)
    if polar.size:
        z, theta, column = z.flat[polar], theta.flat[polar], column.flat[polar]
        quarter = np.minimum(3, column.astype(np.int64))
        along = column - quarter
        below = np.maximum(1 - np.abs(z), 0)
        near_pole = (np.abs(z) >= 0.99) & ((theta < 0.01) | (theta > 3.14159 - 0.01))
        reach = np.where(near_pole, nside * np.sin(theta) / np.sqrt((1 + np.abs(z)) / 3), nside * np.sqrt(3 * below))
        jp = np.minimum((along * reach).astype(np.int64), nside - 1)
        jm = np.minimum(((1.0 - along) * reach).astype(np.int64), nside - 1)
        north = z >= 0
        x.flat[polar] = np.where(north, nside - 1 - jm, jp)
        y.flat[polar] = np.where(north, nside - 1 - jp, jm)
        face.flat[polar] = np.where(north, quarter, quarter + 8)
    return x, y, face


def join(x, y, face, order):
    """Pixels of coordinates within their faces: the bits of x and y in turn."""
    both = np.stack([x, y])
    for shift, mask in SPREADING:
        both = (both | (both << shift)) & mask
    return (face << (2 * order)) | both[0] | (both[1] << 1)


def split(pixel, order):
    """x, y and face of pixels: the inverse of `join`."""
    inside = pixel & ((np.int64(1) << (2 * order)) - 1)
    both = np.stack([inside, inside >> 1]) & EVEN_BITS
    for shift, mask in GATHERING:
        both = (both | (both >> shift)) & mask
    return both[0], both[1], pixel >> (2 * order)


def centres(pixel, order):
    """Unit vectors, shape (n, 3), to the centres of pixels."""
    x, y, face = split(np.asarray(pixel, np.int64), order)
    nside = 2.0**order
    ring = RING[face] - (x + y + 1) / nside  # 0 at the north pole, 4 at the south pole
    to_pole = np.where(ring < 1, ring, np.where(ring > 3, 4 - ring, 1.0))
    column = COLUMN[face] * to_pole + (x - y) / nside
    below = to_pole * to_pole / 3
    z = np.where(ring < 1, 1 - below, np.where(ring > 3, below - 1, (2 - ring) * 2 / 3))
    across = np.where(to_pole < 1, np.sqrt(below * (2 - below)), np.sqrt(np.maximum(1 - z * z, 0)))
    phi = np.pi / 4 * column / to_pole
    return np.stack([across * np.cos(phi), across * np.sin(phi), z], axis=-1)


def step(x, y, face, order):
    """Pixels at coordinates that may lie up to one face outside of their own; -1 where there is nothing."""
    nside = np.int64(1) << order
    if not ((x | y) & ~(nside - 1)).any():  # the usual case: all stay on their faces
        return join(x, y, face, order)
    side = 4 - (x < 0) + (x >= nside) - 3 * (y < 0) + 3 * (y >= nside)
    turn, across = TURNS[side, face >> 2], FACES[side, face]
    x, y = x & (nside - 1), y & (nside - 1)
    x = np.where(turn & 1, nside - 1 - x, x)
    y = np.where(turn & 2, nside - 1 - y, y)
    x, y = np.where(turn & 4, y, x), np.where(turn & 4, x, y)
    return np.where(across < 0, -1, join(x, y, across, order))


def neighbours(pixel, order):
    """The 8 neighbours, shape (n, 8), of pixels from south-west clockwise as healpy gives them; -1: none."""
    x, y, face = (part[:, None] for part in split(np.atleast_1d(np.asarray(pixel, np.int64)), order))
    return step(x + np.array([-1, -1, 0, 1, 1, 1, 0, -1]), y + np.array([0, 1, 1, 1, 0, -1, -1, -1]), face, order)
