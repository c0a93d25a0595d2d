"""`hven simulate`."""

from pathlib import Path

import click

CAMERAS = {"1k": "simcam_1k", "2k": "simcam", "4k": "simcam_4k"}
"""Size of a detector → the simulated camera."""


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--size", type=click.Choice(list(CAMERAS)), default="1k", show_default=True, help="Side of a detector.")
@click.option("--visits", type=click.IntRange(min=1, max=1000), default=2, show_default=True, help="Visits a night.")
@click.option("--nights", type=click.IntRange(1, 4), default=1, show_default=True, help="Nights.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same gives the same bits.")
@click.option("--bands", default="r", show_default=True, help="Letters of ugrizy that the Visits take in turns.")
def simulate(folder: Path, size: str, visits: int, nights: int, seed: int, bands: str) -> None:
    """Write a simulated camera's nights to DIR: raw frames, calibration frames, templates, references, truth.

    One seed gives the same pixels. The frames come in both streams, raw/ and corrected/ for crosstalk; size 2k is
    a camera of two detectors, and a supernova rises and fades in one of its galaxies.
    """
    from pipelines.instruments import instrument
    from pipelines.simulate import frames
    from pipelines.simulate.night import simulate_night
    from pipelines.simulate.visits import BANDS

    if not bands or set(bands) - set(BANDS):
        raise click.BadParameter(f"got '{bands}'; allowed are letters of {''.join(BANDS)}", param_hint="--bands")
    camera = instrument(CAMERAS[size])
    scene, plan = simulate_night(camera, seed=seed, visits=visits, nights=nights, bands=bands)
    for band in dict.fromkeys(bands):
        frames.write_field(folder, scene, next((v for v in plan if v.band == band), plan[0].with_(band=band)))
        frames.write_calibrations(folder, camera, band=band, seed=seed)
    for visit in plan:
        for path in frames.write_visit(folder, scene, visit, camera):
            click.echo(path)
