"""Covers: HEALPix pixels that provably hold every position of a region.

Two bounds carry the proofs, for a pixelisation of nside n. They follow from the metric of the projection
(Górski et al. 2005, eqs 2-9): with u, v the coordinates along the two sides of a base pixel in units of
pixels, and θ the distance from the pole (cos²(θ/2) ≥ 5/6 in the polar caps),

- a step of 1 rad changes u, and v, by at most `REACH` n: the gradient is √(4/(π cos δ)² + (¾ cos δ)²) n near
  the equator and √(3/2 t² cos²(θ/2) + 6/(π cos(θ/2))²) n with t ≤ 1 in the caps, where it is largest at the pole;
- no position of a pixel is further than `SPREAD` / n rad from its centre: the way there along a straight line of
  u, v is at most √(2/3 / (5/6) + π²/24) / n long, again in the caps.

A region is a function of positions that is ≤ 0 inside and changes by at most 1 rad for each rad: where it exceeds
a pixel's spread at the centre, the whole pixel is outside, where it is below minus that, inside.
"""

import numpy as np

from udf.sky.healpix import centres, face_coordinates, step

REACH = 1.4520  # above √(3/2 + 6/π²)
SPREAD = 1.1007  # above √(4/5 + π²/24)
GUARD = 1e-12  # rad: rounding of positions, centres and distances, some thousand times over
ARCSEC = np.pi / 180 / 3600


def unit_vectors(ra, dec):
    """Unit vectors, shape (…, 3), of positions [deg]."""
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def angles(a, b):
    """Angles [rad] between unit vectors, exact for small and for large ones."""
    return 2 * np.arctan2(_length(a - b), _length(a + b))


def _length(v):
    return np.sqrt(np.einsum("...i,...i", v, v))  # several times faster than linalg.norm for short arrays


def touched(ra, dec, radius, order):
    """Pixels of one order that discs may touch, where no disc reaches beyond the pixels around its centre's.

    Parameters
    ----------
    ra, dec : ndarray
        Centres [deg].
    radius : ndarray
        [rad], at most (1 - 2**-20) / (REACH * 2**order).
    order : int

    Returns
    -------
    which, pixel : ndarray of int64
        Index of the disc, and a pixel; up to 9 for each disc.
    """
    reach = np.ceil((radius + GUARD) * REACH * 2.0**29).astype(np.int64) + 1
    return touched_from(*face_coordinates(ra, dec, 29), reach, order)


def touched_from(x, y, face, reach, order):
    """Pixels of one order within reach, in x and in y, of places given in order-29 coordinates; see `touched`."""
    shift = 29 - order
    column, row = x >> shift, y >> shift
    which = np.arange(x.size)
    which, column = _beside(which, column, (x - reach) >> shift, (x + reach) >> shift)
    which, row, column = _beside(
        which, row[which], ((y - reach) >> shift)[which], ((y + reach) >> shift)[which], column
    )
    pixel = step(column, row, face[which], order)
    return which[pixel >= 0], pixel[pixel >= 0]


def _beside(which, at, least, most, *others):
    """Repeat rows for the pixel before and the pixel after along one axis, where those are reached."""
    side, index = np.nonzero(np.stack([least < at, np.ones(at.size, bool), most > at]))
    return which[index], (at[index] + side - 1), *(other[index] for other in others)


def widest_order(radius):
    """Highest order, up to 29, at which a disc of a radius [rad] stays within 3 × 3 pixels; -1 if none."""
    return np.floor(np.log2((1 - 2.0**-19) / (REACH * (np.asarray(radius) + GUARD)))).clip(-1, 29).astype(int)


def descend(region, pixel, order, finest):
    """Divide pixels that cover a region until they are inside it, or of the finest order.

    Parameters
    ----------
    region : callable
        Takes unit vectors (n, 3), gives the region's function [rad] as above.
    pixel : ndarray of int64
        Of `order`; together they cover the region.
    order, finest : int

    Returns
    -------
    lowest, highest : ndarray of int64
        Disjoint ranges of order-29 pixels, ascending, both ends included.
    inside : ndarray of bool
        Whether all of the range lies inside the region.
    """
    parts = []
    while order < finest and pixel.size:
        levels = min(2, finest - order)  # two at a time: numpy's calls cost more than the pixels that it looks at
        pixel, order = ((pixel[:, None] << 2 * levels) + np.arange(4**levels)).ravel(), order + levels
        value, spread = region(centres(pixel, order)), SPREAD / 2.0**order + GUARD
        inside = value < -spread
        parts.append((*_finest(pixel[inside], order), inside[inside]))
        pixel = pixel[(value <= spread) & ~inside]
    parts.append((*_finest(pixel, order), np.zeros(pixel.size, bool)))
    return merged(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _finest(pixel, order):
    """First and last order-29 pixels of pixels of an order."""
    shift = 2 * (29 - order)
    return pixel << shift, ((pixel + 1) << shift) - 1


def merged(lowest, highest, inside):
    """Ranges sorted, and joined where one begins after the end of another of the same kind."""
    order = np.argsort(lowest)
    lowest, highest, inside = lowest[order], highest[order], inside[order]
    first = np.ones(lowest.size, bool)
    first[1:] = (lowest[1:] != highest[:-1] + 1) | (inside[1:] != inside[:-1])
    last = np.append(first[1:], True) if first.size else first
    return lowest[first], highest[last], inside[first]


def cover_cone(ra, dec, radius, finer=3):
    """Ranges that cover the positions within a radius [rad] of a centre [deg]; see `descend`."""
    order = int(widest_order(radius))
    start = touched(np.array([ra]), np.array([dec]), np.array([radius]), order)[1] if order >= 0 else np.arange(12)
    centre = unit_vectors(ra, dec)
    return descend(lambda v: angles(v, centre) - radius, start, max(order, 0), min(max(order, 0) + finer, 29))


def cover_cones(ra, dec, radius, coarser=2, bridge=0):
    """Ranges that cover many small cones at once, coarsely: for joins with a table of positions.

    Parameters
    ----------
    ra, dec : ndarray
        Centres [deg].
    radius : ndarray
        [rad], at most 0.68.
    coarser : int
        Orders below the highest possible one. 2 gives 1.8 pixels for each cone and 16 to 64 times its area.
    bridge : int
        Ranges of a cone are joined across gaps of at most this many pixels: fewer scans of an index, more rows.

    Returns
    -------
    which, lowest, highest : ndarray of int64
        Index of the cone, and the order-29 pixels of one range of it, both ends included.
    """
    found = []
    orders = np.maximum(widest_order(radius) - coarser, 0)
    for order in np.unique(orders):
        rows = np.flatnonzero(orders == order)
        which, pixel = touched(ra[rows], dec[rows], radius[rows], int(order))
        sort = np.lexsort([pixel, which])
        which, pixel = which[sort], pixel[sort]
        first = np.ones(pixel.size, bool)
        first[1:] = (pixel[1:] > pixel[:-1] + 1 + bridge) | (which[1:] != which[:-1])
        last = np.append(first[1:], True) if first.size else first
        found.append((rows[which[first]], _finest(pixel[first], int(order))[0], _finest(pixel[last], int(order))[1]))
    if not found:
        return (np.empty(0, np.int64),) * 3
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def cover_region(region, radius, finer=4):
    """Ranges that cover a region that is no cone, from the base pixels on; `radius` [rad] is its size."""
    order = int(np.clip(np.log2(1 / max(radius, 1e-10)), 0, 29))
    return descend(region, np.arange(12), 0, min(order + finer, 29))


def ellipse(ra, dec, semi_major, semi_minor, position_angle):
    """Region: sum of the distances to two foci at most twice the semi-major axis.

    Centre and position angle (north through east) in deg, axes in rad.
    """
    focus = np.arccos(np.clip(np.cos(semi_major) / np.cos(semi_minor), -1, 1))
    centre, east, north = unit_vectors(ra, dec), unit_vectors(ra + 90, 0.0), unit_vectors(ra, dec + 90)
    along = np.sin(np.radians(position_angle)) * east + np.cos(np.radians(position_angle)) * north
    foci = [np.cos(focus) * centre + sign * np.sin(focus) * along for sign in (1, -1)]
    return lambda v: (angles(v, foci[0]) + angles(v, foci[1])) / 2 - semi_major


def box(ra_west, ra_east, dec_south, dec_north):
    """Region between two meridians, from west eastwards, and two parallels [deg]."""
    width = (ra_east - ra_west) % 360 if ra_east - ra_west != 360 else 360
    west, east = unit_vectors(ra_west + 90, 0.0), unit_vectors(ra_east - 90, 0.0)

    def value(v):
        dec = np.arctan2(v[:, 2], np.hypot(v[:, 0], v[:, 1]))
        beyond = np.maximum(np.radians(dec_south) - dec, dec - np.radians(dec_north))
        if width == 360:
            return beyond
        sides = [-np.arcsin(np.clip(v @ side, -1, 1)) for side in (west, east)]
        return np.maximum(beyond, np.maximum(*sides) if width <= 180 else np.minimum(*sides))

    return value


def cover_box(ra_west, ra_east, dec_south, dec_north):
    """Ranges that cover a box [deg]; all round where the right ascensions are 360 deg apart, but not where equal."""
    width = 360.0 if abs(ra_east - ra_west) >= 360 else (ra_east - ra_west) % 360
    low = 0.0 if dec_south < 0 < dec_north else min(abs(dec_south), abs(dec_north))
    size = max(min(width, 180) * np.cos(np.radians(low)), dec_north - dec_south) / 2
    return cover_region(box(ra_west, ra_west + width, dec_south, dec_north), np.radians(size))


def cover_polygon(ra, dec):
    """Ranges that cover a polygon with these vertices [deg]."""
    corners = unit_vectors(ra, dec)
    return cover_region(polygon(ra, dec), float(angles(corners, _tangent_plane(corners)[0]).max()))


def polygon_fault(ra, dec):
    """What is wrong with the vertices [deg] of a polygon, as a phrase; None if nothing is."""
    if len(ra) < 3:
        return f"has {len(ra)} vertices, allowed are 3 or more"
    corners, flat = flattened(ra, dec)
    if flat is None:
        return "is not contained in the hemisphere about the mean of its vertices"
    if (corners @ (corners.min(axis=0) + corners.max(axis=0)) < 1e-6).any():  # pgSphere's limit
        return "is not contained in the hemisphere about the middle of its vertices"
    following = np.roll(flat, -1, axis=0)
    if (np.roll(corners, -1, axis=0) == corners).all(axis=1).any():
        return "has a vertex twice in succession"
    before = np.sign(_turn(flat[:, None], following[:, None], flat))  # of vertex j about edge i
    after = np.roll(before, -1, axis=1)
    crossing = (before * after <= 0) & (before * after <= 0).T & _boxes_meet(flat, following)
    number = np.arange(len(flat))
    apart = (number[:, None] - number) % len(flat)
    i, j = np.nonzero(crossing & (apart > 1) & (apart < len(flat) - 1))
    if i.size:
        return f"crosses itself: side {min(i[0], j[0]) + 1} and side {max(i[0], j[0]) + 1} meet"
    return None if abs(_area(flat)) > 0 else "has no area"


def flattened(ra, dec):
    """Unit vectors of vertices [deg] and their gnomonic projection about their mean, None beyond 90 deg."""
    corners = unit_vectors(ra, dec)
    plane = _tangent_plane(corners)
    depth = corners @ plane[0]
    return corners, (corners @ plane[1:].T / depth[:, None] if (depth > 1e-6).all() else None)


def polygon(ra, dec):
    """Region within the great circles that join vertices [deg], the last to the first; see `polygon_fault`."""
    corners, flat = flattened(ra, dec)
    plane = _tangent_plane(corners)
    following = np.roll(corners, -1, axis=0)
    normals = np.cross(corners, following)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sides = list(zip(corners, following, normals, flat, np.roll(flat, -1, axis=0), strict=True))

    def value(v):
        depth = v @ plane[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = (v @ plane[1:].T / depth[:, None]).T
        nearest, odd = np.full(len(v), np.inf), np.zeros(len(v), bool)
        for a, b, normal, (ax, ay), (bx, by) in sides:
            beside = (v @ np.cross(normal, a) >= 0) & (v @ np.cross(b, normal) >= 0)
            line = np.abs(np.arcsin(np.clip(v @ normal, -1, 1)))
            nearest = np.minimum(nearest, np.where(beside, line, np.minimum(angles(v, a), angles(v, b))))
            if ay != by:
                odd ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
        return np.where(odd & (depth > 0), -nearest, nearest)

    return value


def _tangent_plane(corners):
    """Mean direction of unit vectors, and two axes at right angles to it, as rows."""
    mean = corners.mean(axis=0)
    mean = mean / max(np.linalg.norm(mean), 1e-300)
    first = np.cross(mean, np.eye(3)[np.argmin(np.abs(mean))])
    first /= max(np.linalg.norm(first), 1e-300)
    return np.stack([mean, first, np.cross(mean, first)])


def _boxes_meet(starts, ends):
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    return ((low[:, None] <= high) & (low <= high[:, None])).all(axis=2)


def _turn(a, b, c):
    """Twice the signed area of triangles a, b, c in the plane."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


def _area(flat):
    return _turn(flat[0], flat, np.roll(flat, -1, axis=0)).sum() / 2


def moc_ranges(text):
    """Ranges (as those of `descend`, all inside) of a coverage map's ASCII form, such as ``3/1-4 5/17``."""
    lowest, highest, shift = [], [], 0
    for word in text.replace(",", " ").replace("/", "/ ").split():
        if word.endswith("/"):
            shift = 2 * (29 - int(word[:-1]))
        else:
            first, _, last = word.partition("-")
            lowest.append(int(first) << shift)
            highest.append((int(last or first) + 1 << shift) - 1)
    return merged(np.array(lowest, np.int64), np.array(highest, np.int64), np.ones(len(lowest), bool))
