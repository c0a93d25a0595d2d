"""Figures of the pages, as SVG that stands in the page itself."""

import base64
import io
from collections.abc import Iterable, Sequence

import numpy as np

BANDS = {"u": "#6a3d9a", "g": "#2f8f4e", "r": "#c8452c", "i": "#8c2d04", "z": "#5b3a29", "y": "#222222"}
"""Colours of filters; others get matplotlib's."""

ACCENT = "#0a5aa8"


def figure(width: float = 9.0, height: float = 3.2, **options):
    """Return a figure and its axes, for `svg`; needs no display."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**options)


def svg(made) -> str:
    """Return a figure as an `<svg>` element; the same figure gives the same text."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "hven", "svg.fonttype": "none", "font.family": "sans-serif"}):
        made.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg"):]


def colour(band: str) -> str | None:
    """Return the colour of a filter."""
    return BANDS.get(band.lower()[:1])


def sky_map(ra: Sequence[float], dec: Sequence[float], bands: Sequence[str]) -> str:
    """Return Visits on the whole sky (Hammer–Aitoff, right ascension to the left) and the same enlarged."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(9, 3.6), layout="constrained")
    ra_, dec_ = np.array(ra, float), np.array(dec, float)
    whole = made.add_subplot(1, 2, 1, projection="aitoff")
    near = made.add_subplot(1, 2, 2)
    centre = np.degrees(np.angle(np.exp(1j * np.radians(ra_)).mean())) if ra_.size else 0.0
    across = (ra_ - centre + 180) % 360 - 180
    for band in dict.fromkeys(bands):
        chosen = np.array([one == band for one in bands])
        longitude = np.radians((180 - ra_[chosen] + 180) % 360 - 180)
        whole.scatter(longitude, np.radians(dec_[chosen]), s=9, color=colour(band), label=band)
        east = across[chosen] * np.cos(np.radians(dec_[chosen]))
        near.scatter(east, dec_[chosen], s=12, alpha=0.6, color=colour(band))
    whole.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["300°", "240°", "180°", "120°", "60°"], fontsize=7)
    whole.tick_params(axis="y", labelsize=7)
    whole.grid(alpha=0.3)
    near.set(xlabel=f"(ra − {centre % 360:.2f}°) cos dec [deg]", ylabel="dec [deg]")
    near.invert_xaxis()
    near.set_aspect("equal", adjustable="datalim")
    near.grid(alpha=0.3)
    if len(bands):
        whole.legend(fontsize=7, loc="lower right")
    return svg(made)


def over_time(hours: Sequence[float], bands: Sequence[str], panels: Iterable[tuple[str, Sequence, bool]]) -> str:
    """Return panels of quantities over the hours of the night; `panels` are label, values, and whether less is up."""
    panels = list(panels)
    made, axes = figure(height=1.6 * len(panels) + 0.4, nrows=len(panels), sharex=True, squeeze=False)
    for axis, (label, values, downwards) in zip(axes[:, 0], panels, strict=True):
        numbers = np.array([np.nan if value is None else float(value) for value in values])
        for band in dict.fromkeys(bands):
            chosen = np.array([one == band for one in bands])
            axis.plot(np.array(hours)[chosen], numbers[chosen], ".", ms=4, color=colour(band), label=band)
        axis.set_ylabel(label, fontsize=8)
        axis.grid(alpha=0.3)
        if downwards:
            axis.invert_yaxis()
    axes[-1, 0].set_xlabel("hours since the first Visit")
    if len(set(bands)) > 1:
        axes[0, 0].legend(fontsize=7, ncols=6)
    return svg(made)


def histogram(values: Sequence[float], label: str, limit: float, of: str = "Visits") -> str:
    """Return a histogram with a limit marked."""
    made, axis = figure(height=2.6)
    axis.hist(np.array(values, float), bins=min(60, max(10, len(values) // 8)), color=ACCENT, alpha=0.8)
    axis.axvline(limit, color="#b3261e", lw=1.2, ls="--")
    axis.set(xlabel=label, ylabel=of)
    return svg(made)


def yields(hours: Sequence[float], dia_sources: Sequence[int], alerts: Sequence[int], unusual: Sequence[bool]) -> str:
    """Return DiaSources and Alerts of each Visit over the hours of the night; unusual ones are ringed."""
    made, axis = figure(height=2.8)
    axis.plot(hours, dia_sources, ".", ms=4, color="#7b7f86", label="DiaSources")
    axis.plot(hours, alerts, ".", ms=4, color=ACCENT, label="Alerts")
    ringed = np.array(unusual, bool)
    if ringed.any():
        ring = {"ms": 10, "mfc": "none", "color": "#b3261e", "label": "unusual"}
        axis.plot(np.array(hours)[ringed], np.array(alerts)[ringed], "o", **ring)
    axis.set(xlabel="hours since the first Visit", ylabel="a Visit")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return svg(made)


def scatter(x: Sequence, y: Sequence, bands: Sequence[str], labels: tuple[str, str]) -> str:
    """Return points, a colour a filter; the axis ends where one in a hundred lies outside."""
    made, axis = figure(height=3.6)
    x_, y_ = np.array(x, float), np.array(y, float)
    for band in dict.fromkeys(bands):
        chosen = np.array([one == band for one in bands])
        axis.plot(x_[chosen], y_[chosen], ".", ms=2, alpha=0.5, color=colour(band), label=band, rasterized=True)
    low, high = np.percentile(y_, (0.5, 99.5))
    axis.set_ylim(low - 1 - 0.1 * (high - low), high + 1 + 0.1 * (high - low))
    axis.axhline(0, color="#7b7f86", lw=0.6)
    axis.set(xlabel=labels[0], ylabel=labels[1])
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, ncols=6, markerscale=4)
    return svg(made)


def light_curve(
    mjd: Sequence, flux: Sequence, error: Sequence, bands: Sequence[str], forced: Sequence[bool] | None = None
) -> str:
    """Return a light curve with errors, a colour a filter; forced measurements are hollow."""
    made, axis = figure()
    time, value, sigma = (np.array([np.nan if v is None else float(v) for v in given]) for given in (mjd, flux, error))
    hollow = np.zeros(time.size, bool) if forced is None else np.array(forced)
    for band in dict.fromkeys(bands):
        for is_forced in (False, True):
            chosen = np.array([one == band for one in bands]) & (hollow == is_forced)
            if chosen.any():
                axis.errorbar(
                    time[chosen], value[chosen], sigma[chosen], fmt="o", ms=4, lw=0.8, color=colour(band),
                    mfc="none" if is_forced else None, label=f"{band}, forced" if is_forced else band,
                )
    axis.axhline(0, color="#7b7f86", lw=0.6)
    axis.set(xlabel="MJD (TAI)", ylabel="flux [nJy]")
    axis.ticklabel_format(useOffset=False, axis="x")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, ncols=4)
    return svg(made)


def picture(image: np.ndarray) -> str:
    """Return an image as a PNG in a `data:` address, north up as it lies, stretched by asinh from its noise."""
    from matplotlib import image as images

    middle = np.nanmedian(image)
    noise = 1.4826 * np.nanmedian(np.abs(image - middle)) or 1.0
    stretched = np.arcsinh((np.nan_to_num(image, nan=middle) - middle) / noise / 2)
    png = io.BytesIO()
    images.imsave(png, stretched, cmap="gray", origin="lower", vmin=-1.5, vmax=max(4, stretched.max()), format="png")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
