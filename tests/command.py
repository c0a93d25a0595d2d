"""`hven test`."""

import os
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--all", "everything", is_flag=True, help="Run the proofs that take minutes too.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]...")
def test(everything: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests, on a server of their own."""
    os.chdir(ROOT)
    chosen = () if everything else ("-m", "not long")
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *chosen, *arguments])
