"""Where the real data lie, and the reason for a skip where they don't."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("HVEN_SHARED_DATA", ROOT.parent / "shared" / "data"))

needs_astrometry_net = pytest.mark.skipif(
    shutil.which("solve-field") is None, reason="solve-field (Debian package astrometry.net) is not installed"
)


def needs_data(name):
    """Skip where the folder of real data is absent."""
    return pytest.mark.skipif(
        not (SHARED / name).is_dir(), reason=f"real data {SHARED / name} absent; set HVEN_SHARED_DATA"
    )
