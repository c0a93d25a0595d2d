"""Pictures of every stage of one detector, to be looked at."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipelines.image import Exposure

SIDE = 1024  # pixels of a picture; larger images are binned by medians


def draw_stages(
    folder: Path, stages: Mapping[str, Exposure], marks: Mapping[str, np.ndarray] | None = None
) -> list[Path]:
    """Write one PNG for each stage: the image from −3 to +10 sigma of its sky, and its mask in colours.

    Parameters
    ----------
    folder : Path
        Created where it does not exist.
    stages : mapping of str to Exposure
        In order; the files are numbered: 1_raw.png …
    marks : mapping of str to structured array
        Rows with x, y (and perhaps `reliability`) that are circled on the stage of that name.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (name, exposure) in enumerate(stages.items(), start=1):
        paths.append(folder / f"{number}_{name}.png")
        _draw(exposure, name, (marks or {}).get(name)).savefig(paths[-1], dpi=100)
    return paths


def _draw(exposure, name, rows):
    image, mask = exposure.pixels.image, exposure.pixels.unusable
    step = max(1, int(np.ceil(max(image.shape) / SIDE)))
    small = binned(np.where(mask, np.nan, image), step)
    middle = np.nanmedian(small)
    sigma = max(1.4826 * np.nanmedian(np.abs(small - middle)), 1e-6)
    figure = Figure(figsize=(11, 10.5), layout="constrained")
    axes = figure.subplots()
    extent = (-0.5, image.shape[1] - 0.5, -0.5, image.shape[0] - 0.5)
    axes.imshow(small, vmin=middle - 3 * sigma, vmax=middle + 10 * sigma, origin="lower", cmap="gray", extent=extent)
    spoilt = np.ma.masked_equal(binned(mask.astype(np.float32), step), 0)
    axes.imshow(spoilt, origin="lower", cmap="autumn_r", alpha=0.6, extent=extent, vmin=0, vmax=1)
    if rows is not None:
        colour = rows["reliability"] if "reliability" in rows.dtype.names else np.ones(len(rows))
        axes.scatter(rows["x"], rows["y"], s=60, facecolors="none", edgecolors=_colours(colour), linewidths=0.8)
    title = f"{name}: {image.shape[1]} x {image.shape[0]} pixels, sky {middle:.1f} ± {sigma:.1f}; unusable in red"
    axes.set(title=title, xlabel="x [pixel]", ylabel="y [pixel]")
    return figure


def _colours(reliability):
    """Green for what is probably real, blue for what is probably not."""
    return np.where(np.nan_to_num(reliability, nan=1.0) >= 0.5, "lime", "deepskyblue")


def binned(image, step):
    """Return medians of step × step pixels, without those that are NaN."""
    if step == 1:
        return image
    rows, columns = (n // step * step for n in image.shape)
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step).swapaxes(1, 2)
    blocks = blocks.reshape(rows // step, columns // step, step * step)
    empty = np.all(np.isnan(blocks), axis=-1)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty[..., None], 0, blocks), axis=-1))
