"""`hven release`: Data Releases, from an empty database to the public."""

import os
from pathlib import Path

import click


@click.group()
def release() -> None:
    """Make Data Releases and mini-DRs, check, freeze and publish them."""


because = click.option("--reason", help="Why; it stands in the audit trail.")


stored = click.option("--store", type=click.Path(path_type=Path),
                      help="Root of the file store. Default $HVEN_HOME/files.")  # fmt: skip


class Moment(click.ParamType):
    """A time in TAI, as MJD or as YYYY-MM-DD[THH:MM:SS]."""

    name = "time"

    def convert(self, value, param, ctx):
        """Return the MJD."""
        from astropy.time import Time

        try:
            return float(value)
        except ValueError:
            pass
        try:
            return float(Time(value, scale="tai").mjd)
        except ValueError:
            self.fail(f"got {value!r}; allowed are a TAI MJD, or YYYY-MM-DD with or without THH:MM:SS", param, ctx)


class Cone(click.ParamType):
    """A cone on the sky: RA,DEC,RADIUS in deg."""

    name = "ra,dec,radius"

    def convert(self, value, param, ctx):
        """Return ra, dec and radius_deg by name."""
        if isinstance(value, dict):
            return value
        try:
            ra, dec, radius = map(float, value.split(","))
        except ValueError:
            self.fail(f"got {value!r}; allowed are three numbers with commas, in deg", param, ctx)
        if not (0 <= ra < 360 and -90 <= dec <= 90 and radius > 0):
            self.fail(f"got {value!r}; ra is 0 to below 360, dec -90 to 90, the radius above 0", param, ctx)
        return {"ra": ra, "dec": dec, "radius_deg": radius}


@release.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--camera", required=True, help="The instrument that took them.")
@click.option("--from", "start", type=Moment(), default="0", show_default=True, help="The first exposure they are for.")
@click.option("--to", "end", type=Moment(), default="100000", show_default=True, help="And the end of that time.")
@stored
def calibrate(folder: Path, camera: str, start: float, end: float, store: Path | None) -> None:
    """Make master bias, dark and flats from FOLDER's frames; releases take those of the highest version."""
    from db.files import FileStore
    from pipelines.instruments import instrument
    from pipelines.productions.masters import certify

    for made in certify(FileStore(_root(store)), sorted(folder.glob("*.fits*")), instrument(camera), start, end):
        click.echo(f"certified: {made}")


@release.command()
@click.argument("name")
@click.option("--cutoff", "--to", type=Moment(), required=True, help="Visits until then go in: TAI, as MJD or date.")
@click.option("--from", "start", type=Moment(), default="0", help="Of a mini-DR: Visits before stay out.")
@click.option("--area", type=Cone(), help="Of a mini-DR: Visits that reach this cone go in, RA,DEC,RADIUS in deg.")
@click.option("--inject", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Of a mini-DR: YAML file of synthetic objects; class and number must be in it.")
@click.option("--params", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="YAML file of parameters; instrument and reference must be in it.")
@stored
def create(
    name: str, cutoff: float, start: float, area: dict | None, inject: Path | None, file: Path, store: Path | None
) -> None:
    """Make the database of a new release, and list all that is to be done; of a mini-DR if its name begins so."""
    import yaml

    from pipelines import building

    given = yaml.safe_load(file.read_text()) or {}
    limited = {"from_tai": start, "area": area, "inject": inject and yaml.safe_load(inject.read_text())}
    building.plan(name, cutoff, given | {key: value for key, value in limited.items() if value})
    _make(name, _root(store))
    click.echo(f"{name}: ready to be built by `hven release run {name}`")


@release.command()
@click.argument("name")
@click.option("--concurrency", "-c", type=click.IntRange(1), help="Workers. Default one a core.")
@stored
def run(name: str, concurrency: int | None, store: Path | None) -> None:
    """Build a release, or go on building it, until all is done; may be interrupted at any time."""
    from db import life_cycle
    from db.release import ReleaseError
    from pipelines import building

    state = life_cycle.find(name).state
    if state == "creating":
        click.echo(f"{name}: half made; going on")
        _make(name, _root(store))
    elif state != "building":
        raise ReleaseError(f"release: can't run {name}: it is {state}, and has to be building", "make another release")
    held = building.run(name, _root(store), concurrency or len(os.sched_getaffinity(0)), _teller())
    click.echo(f"{name}: " + ", ".join(f"{count} {what}" for what, count in held.items()))


def _make(name: str, store: Path) -> None:
    from db import life_cycle
    from db.files import FileStore
    from migrations.upgrade import create_release
    from pipelines import building

    create_release(name, life_cycle.find(name).release, lambda: building.fill(name, FileStore(store)))


def _teller():
    """Return what prints a line whenever the number of done jobs has changed, at most every five seconds."""
    import time

    from pipelines.building import eta

    told = {"at": 0.0, "done": -1}

    def tell(phases, left) -> None:
        done, jobs = (sum(getattr(phase, name) for phase in phases) for name in ("done", "jobs"))
        if done != told["done"] and (time.monotonic() - told["at"] > 5 or done == jobs):
            now = next((phase for phase in phases if phase.done < phase.jobs), None)
            where = f"; {now.kind} {now.done} of {now.jobs}" if now else ""
            click.echo(f"{done} of {jobs} jobs{where}; about {eta(left)} left of those known")
            told.update(at=time.monotonic(), done=done)

    return tell


def _root(store: Path | None) -> Path:
    from db.settings import hven_home

    return store or hven_home() / "files"


@release.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(name: str, yes: bool) -> None:
    """Drop a release or mini-DR that is neither published nor current, and holds no Level 3 spaces."""
    from db import release as releases

    releases.check_droppable(name)
    if not yes:
        click.confirm(f"Drop {name} and all that it holds?", abort=True, err=True)
    releases.drop(name)
    click.echo(f"{name}: dropped")


@release.command("list")
def list_releases() -> None:
    """List releases and mini-DRs with their states."""
    from db import life_cycle

    for known in life_cycle.releases():
        mark = "  (current)" if known.is_current else ""
        click.echo(f"{known.name:24}{known.kind:12}{known.state:12}since {known.changed:%Y-%m-%d %H:%M}{mark}")


@release.command()
@click.argument("name")
def log(name: str) -> None:
    """Tell the life of a release: every step, by whom, why."""
    from db import life_cycle

    for step in life_cycle.history(name):
        said = f"  {step.reason}" if step.reason else ""
        click.echo(f"{step.written:%Y-%m-%d %H:%M:%S}  {step.from_state or '-'} → {step.to_state}  {step.actor}{said}")


@release.command()
@click.argument("name")
@because
def validate(name: str, reason: str | None) -> None:
    """Call a release valid that is built; its quality has to pass the gate `release`."""
    from db import release as releases

    releases.validate(name, reason)
    click.echo(f"{name}: validated")


@release.command()
@click.argument("old")
@click.argument("new")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write. Default OLD-NEW.html.")
def compare(old: str, new: str, output: Path | None) -> None:
    """Compare a release with an earlier one: schema, counts, and the match of their Objects, as one HTML file.

    While NEW is being built, the match becomes its table object_match.
    """
    from pipelines.report.comparison import compare as compare_releases

    found = compare_releases(old, new)
    target = output or Path(f"{old}-{new}.html")
    target.write_text(found.page())
    facts = dict(found.answers["matched"].facts())
    click.echo(f"{facts['matched_one_to_one']} of {facts['objects_before']} Objects matched one to one; {target}")


@release.command()
@click.argument("name")
@because
def freeze(name: str, reason: str | None) -> None:
    """Close a validated release: no role but the superuser changes a row of it from now on."""
    from db import life_cycle

    life_cycle.freeze(name, reason)
    click.echo(f"{name}: frozen")


@release.command()
@click.argument("name")
@because
def publish(name: str, reason: str | None) -> None:
    """Let the public read a frozen release, make it `current`, and write the pages of its schema."""
    from db import life_cycle
    from db.pages import document, site
    from db.settings import hven_home

    life_cycle.publish(name, reason)
    pages = hven_home() / "pages" / name
    site.write(pages, document.read([name]))
    click.echo(f"{name}: published, and current; its schema: {pages / 'index.html'}")


@release.command()
@click.argument("name")
@click.option("--concurrency", "-c", type=click.IntRange(1), help="Workers. Default one a core.")
@click.option("--production", default="night", show_default=True, help="The production whose nights are replayed.")
@stored
def handover(name: str, concurrency: int | None, production: str, store: Path | None) -> None:
    """Let the live database continue from a published release; may be interrupted, goes on when called again.

    The other live database is filled from it, the nights since its cutoff are replayed without sending, then the name
    level1 is switched, between nights.
    """
    from db.files import FileStore
    from migrations.upgrade import recreate
    from pipelines.succeeding import hand_over

    workers = concurrency or len(os.sched_getaffinity(0))
    done = hand_over(name, FileStore(_root(store)), workers, recreate, click.echo, production=production)
    click.echo(f"level1: {done.new}, from {name}; {done.old} takes no more rows: restart what is connected to it")


@release.command()
@click.argument("name")
@click.option("--current", metavar="OTHER", help="The published release that becomes current instead.")
@click.option("--reason", required=True, help="Why; it stands in the audit trail.")
def withdraw(name: str, current: str | None, reason: str) -> None:
    """Close a published release to the public; its rows stay."""
    from db import life_cycle

    life_cycle.withdraw(name, reason, current)
    click.echo(f"{name}: withdrawn")
