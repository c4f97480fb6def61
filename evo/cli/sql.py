"""`evo sql`: any question to the published archive, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console, JustifyMethod
from rich.table import Table as Grid
from rich.text import Text

from evo.archive.reading import Reader, Table
from evo.cli import place
from evo.cli.console import plain_console
from evo.errors import EvoError
from evo.text import clean_text

MOST_ROWS = 1000
"""More aren't drawn as a table; --json and --csv print all."""
FOLDED_CHARACTERS = 16
"""As narrow as a column of text may become."""


@click.command("sql")
@click.argument("query", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--run", "run_name", metavar="NAME", help="Name of the run [settings: main].")
@click.option("--archive", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="An archive.duckdb from anywhere.")  # fmt: skip
def sql(
    query: str | None, as_json: bool, as_csv: bool, run_name: str | None, archive: Path | None
) -> None:
    """Ask the archive in SQL (DuckDB's). Without QUERY: what there is to ask.

    \b
    evo sql "from operator_yield"
    evo sql "from champion_path"
    evo sql "select variant, val_bpb from trials order by val_bpb limit 5"
    evo sql "from ancestors(17)"
    """
    if as_json and as_csv:
        raise EvoError("--json and --csv can't both be; choose one")
    with Reader.open(archive or place.published_archive(run_name)) as reader:
        table = _contents(reader) if query is None else reader.query(query)
    if as_json:
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        click.echo(json.dumps(rows, default=str))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows(table.rows)
    else:
        print_table(table, plain_console())


def print_table(table: Table, console: Console) -> None:
    """A table as wide as the terminal; records one below the other where it can't be."""
    cells = [[_shown(value) for value in row] for row in table.rows[:MOST_ROWS]]
    numeric = [
        all(isinstance(row[number], int | float | None) for row in table.rows)
        for number in range(len(table.columns))
    ]
    if _least_width(table.columns, cells, numeric) > console.width and len(cells) > 0:
        _print_records(table.columns, cells, console)
    else:
        grid = Grid(box=None, pad_edge=False, show_edge=False, header_style="bold")
        for name, is_number in zip(table.columns, numeric, strict=True):
            justify: JustifyMethod = "right" if is_number else "left"
            grid.add_column(Text(name), justify=justify, overflow="fold", no_wrap=is_number)
        for row in cells:
            grid.add_row(*(Text(cell) for cell in row))
        console.print(grid)
    left = len(table.rows) - MOST_ROWS
    if left > 0:
        console.print(f"and {left:,} more rows: use LIMIT, --json or --csv", style="dim")


def _least_width(columns: Sequence[str], cells: list[list[str]], numeric: list[bool]) -> int:
    """Characters that a table needs: numbers and names whole, long texts folded."""
    total = 2 * (len(columns) - 1)
    for number, name in enumerate(columns):
        longest = max((len(row[number]) for row in cells), default=0)
        total += max(len(name), longest if numeric[number] else min(longest, FOLDED_CHARACTERS))
    return total


def _print_records(columns: Sequence[str], cells: list[list[str]], console: Console) -> None:
    width = max(len(name) for name in columns)
    for row in cells:
        for name, cell in zip(columns, row, strict=True):
            console.print(Text(f"{name:>{width}}  ", style="bold").append(cell, "not bold"))
        console.print()


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return " ".join(_shown(one) for one in value)
    return clean_text(str(value))


def _contents(reader: Reader) -> Table:
    rows = tuple(
        (one.name, one.kind, one.comment, ", ".join(one.columns)) for one in reader.relations()
    )
    return Table(("name", "kind", "what", "columns"), rows)
