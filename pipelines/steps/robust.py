"""Statistics that a few bad values do not spoil."""

import numpy as np
from scipy.ndimage import median_filter


def relative_misfit(misfit, brightness, width=51):
    """Return each misfit minus the running median of those of similar brightness.

    A model that is right to one per cent fits bright stars worse than faint ones: an absolute limit would drop
    just the stars that constrain it best.
    """
    order = np.argsort(brightness)
    relative = np.empty_like(misfit)
    relative[order] = misfit[order] - median_filter(misfit[order], min(width, len(misfit) | 1), mode="nearest")
    return relative
