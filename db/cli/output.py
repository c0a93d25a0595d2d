"""Rows for readers and for programs."""

import json
from contextlib import closing
from datetime import datetime

import click

in_database = click.option("--database", "-d", default="level1", show_default=True, help="Science Database.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

Rows = tuple[list[str], list[tuple]]
"""Names of columns, and rows."""


def ask(database: str, topic: str, query: str, values: dict | None = None, *, commit: bool = False) -> Rows:
    """Return what a query of `db/queries/topic.sql` finds."""
    from db.connect import connect
    from db.queries import queries

    with closing(connect(database)) as session, session.cursor() as cursor:
        cursor.execute(queries(topic)[query], values)
        found = [column.name for column in cursor.description], cursor.fetchall()
        if commit:
            session.commit()
        return found


def show(found: Rows, as_json: bool, columns: tuple[str, ...] = (), empty: str = "none") -> None:
    """Print rows as JSON, or as a table of some columns that fits the terminal; in a pipe nothing is cut or wrapped."""
    names, rows = found
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], default=str))
        return
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table

    chosen = [names.index(name) for name in columns or names]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number in chosen:
        numeric = all(isinstance(row[number], int | float | None) for row in rows)
        table.add_column(names[number], justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_told(row[number]) for number in chosen))
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        console.print(table)
    else:
        Console(highlight=False, markup=False, width=1 << 15).print(table)


def _told(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%m-%d %H:%M:%S}"
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
