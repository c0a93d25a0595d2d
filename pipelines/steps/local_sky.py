"""The sky round each source: what a mesh of the whole detector leaves, of which an aperture's flux feels every bit."""

import numpy as np

CLIP, ROUNDS = 2.5, 3  # robust sigma beyond which a pixel of the ring holds a star's light, and rounds of that


def local_sky(pixels, x, y, ring):
    """Return the mean of the usable pixels in a ring round each position, without those that hold stars.

    Parameters
    ----------
    pixels : MaskedImage
    x, y : ndarray, shape (n,)
        Pixels.
    ring : tuple of float
        Its inner and outer radius in pixels.

    Returns
    -------
    sky, error : ndarray, shape (n,)
        Counts in a pixel; both 0 where the ring has no usable pixel.
    """
    half = int(np.ceil(ring[1]))
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    v, u = (axis[(np.hypot(u, v) > ring[0]) & (np.hypot(u, v) < ring[1])] for axis in (v, u))
    rows, columns = np.rint(y).astype(int)[:, None] + v, np.rint(x).astype(int)[:, None] + u
    height, width = pixels.image.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    values = np.ma.masked_array(pixels.image[rows, columns].astype(float), ~inside | pixels.unusable[rows, columns])
    for _ in range(ROUNDS):
        middle = np.ma.median(values, axis=1)[:, None]
        scatter = 1.4826 * np.ma.median(np.abs(values - middle), axis=1)[:, None]
        values = np.ma.masked_where(np.abs(values - middle) > CLIP * scatter, values)
    count = np.maximum(values.count(axis=1), 1)
    return values.mean(axis=1).filled(0), values.std(axis=1).filled(0) / np.sqrt(count)
