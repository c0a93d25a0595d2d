"""The efficiency of a mini Data Release as a page: a curve and a table for each axis."""

from html import escape

import numpy as np

from pipelines.productions.efficiency import TITLES, Bin, Efficiency
from pipelines.report.figures import ACCENT, figure, svg

HEAD = """<!doctype html><meta charset=utf-8><title>{0}</title>
<style>body{{font:15px sans-serif;max-width:60em;margin:2em auto}} table{{border-collapse:collapse}}
td,th{{padding:.1em .8em;text-align:right}}</style><h1>{0}</h1>"""


def page(mini: str, found: Efficiency) -> str:
    """Return the page, which needs nothing but itself."""
    parts = [HEAD.format(f"Detection efficiency of {escape(mini)}"), f"<p>{escape(summary(found))}</p>"]
    for axis, bins in found.curves.items():
        if bins:
            parts += [f"<h2>{escape(TITLES[axis])}</h2>", curve(axis, bins, found), table(bins)]
    return "\n".join(parts)


def summary(found: Efficiency) -> str:
    """Return the figures in a sentence."""
    hosts = f"{found.matched} of {found.hosted} found objects with a host get the right one"
    return (
        f"Half is found at {found.half_magnitude:.2f} ± {found.half_err:.2f} mag; five times the noise is"
        f" {found.expected:.2f} mag; {hosts}."
    )


def curve(axis: str, bins: list[Bin], found: Efficiency) -> str:
    """Return one curve with binomial errors, as SVG."""
    made, axes = figure(7, 3)
    low, high = (np.array([getattr(one, name) for one in bins]) for name in ("low", "high"))
    middle = np.where(np.abs(high - low) > 1e6, np.where(np.abs(low) < np.abs(high), low, high), (low + high) / 2)
    share = np.array([one.efficiency for one in bins])
    errors = np.abs([share - [one.lower for one in bins], [one.upper for one in bins] - share])
    axes.errorbar(middle, share, errors, fmt="o", ms=4, color=ACCENT, lw=1)
    if axis == "magnitude":
        axes.axvline(found.half_magnitude, color="grey", lw=1, label="half is found")
        axes.axvline(found.expected, color="grey", lw=1, ls=":", label="five times the noise")
        axes.legend(fontsize=8)
    axes.set(xlabel=TITLES[axis], ylabel="share that is found", ylim=(-0.05, 1.05))
    if axis == "host":
        axes.set_xscale("symlog")
    return svg(made)


def table(bins: list[Bin]) -> str:
    """Return bins as an HTML table."""
    rows = "".join(
        f"<tr><td>{one.low:g}<td>{one.high:g}<td>{one.tried}<td>{one.found}<td>{one.efficiency:.3f}"
        f"<td>{one.lower:.3f}<td>{one.upper:.3f}" for one in bins
    )
    return f"<table><tr><th>from<th>to<th>tried<th>found<th>share<th>lower<th>upper{rows}</table>"
