"""The cover of small cones holds every position of them, wherever they lie."""

import numpy as np
import pytest

from udf.sky.cover import ARCSEC, unit_vectors
from udf.sky.healpix import pixels

RADII = (0.0, 0.001, 1.0, 5.0)


def around(ra, dec, radius_arcsec, random, count=24):
    """Positions on the rim of discs and inside, shape (n, count)."""
    turn = random.uniform(0, 2 * np.pi, (ra.size, count))
    step = radius_arcsec * ARCSEC * np.where(np.arange(count) < count // 2, 1 - 1e-12, random.random(count))
    centre = unit_vectors(ra, dec)
    east = np.stack([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0 * ra], axis=-1)
    north = np.cross(centre, east)
    side = np.cos(turn)[..., None] * north[:, None] + np.sin(turn)[..., None] * east[:, None]
    v = np.cos(step)[None, :, None] * centre[:, None] + np.sin(step)[None, :, None] * side
    x, y, z = np.moveaxis(v, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


@pytest.mark.parametrize("radius", RADII)
def test_every_position_of_a_small_cone_is_covered(positions, radius):
    random = np.random.default_rng(5)
    ra, dec = positions.ra[::3], positions.dec[::3]
    rows = positions.ask(
        "SELECT s.lowest, s.span FROM unnest(%s::float8[], %s::float8[]) WITH ORDINALITY AS p (ra, d, n)"
        " CROSS JOIN LATERAL hven.cover_small_cone(p.ra, p.d, %s) AS s ORDER BY p.n",
        (ra.tolist(), dec.tolist(), radius),
    )
    near = pixels(*around(ra, dec, radius, random))
    covered = [number for number, (lowest, _) in enumerate(rows) if lowest]
    assert len(covered) > 0.5 * len(rows)  # half of these positions lie about poles and meridians
    for number in covered:
        lowest, span = rows[number]
        at = near[number]
        assert 1 <= len(lowest) <= 4
        assert all(any(first <= pixel <= first + span for first in lowest) for pixel in at)


def test_a_cone_that_reaches_another_base_pixel_is_left_to_the_general_cover(positions):
    (answer,) = positions.ask("SELECT lowest FROM hven.cover_small_cone(45, 0, 1)")
    assert answer == (None,)
