"""Options that several verbs share."""

import click


def _release(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    if value:
        return value
    from federation.spaces import default_release

    return default_release()


release = click.option(
    "--release", callback=_release, metavar="DB", help="The release; default the newest published one, else level1."
)
user = click.option("--user", required=True, help="Whose space.")
