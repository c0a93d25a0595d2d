"""Subtract by sfft (Hu et al. 2022), in the venv of the peers: FOLDER HALF → difference.fits, and CPU seconds."""

import resource
import sys
from pathlib import Path

from sfft.CustomizedPacket import Customized_Packet

folder, half = Path(sys.argv[1]), int(sys.argv[2])


def subtract():
    """Run it; files are read and written as it wants."""
    names = [str(folder / f"{name}.fits") for name in ("template", "science", "masked_template", "masked_science")]
    Customized_Packet.CP(
        *names, ForceConv="REF", GKerHW=half, FITS_DIFF=str(folder / "difference.fits"), KerPolyOrder=2, BGPolyOrder=0,
        BACKEND_4SUBTRACT="Numpy", NUM_CPU_THREADS_4SUBTRACT=1, VERBOSE_LEVEL=0,
    )


def seconds():
    """CPU time of this process and its children."""
    return sum(
        u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


subtract()  # compiles
(folder / "difference.fits").unlink()
begin = seconds()
subtract()
sys.stdout.write(f"\nCPU {seconds() - begin:.3f}\n")
