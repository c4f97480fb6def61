"""`evo bench`: what the strategies are worth, on simulated landscapes with known truth."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import groupby
from string import ascii_uppercase

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from evo.search.breeding import Part
from evo.search.rivals import STRATEGIES
from evo.simulate.bench import MOMENTS, NOISES, SEEDS, SLOTS, Row, cases, run, speed_up
from evo.simulate.landscape import Kind

PLOT_LINES = 12


@click.group("bench")
def bench() -> None:
    """Measure the search itself, without training anything."""


@bench.command("search")
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(list(STRATEGIES)),
              help="One to compare; repeatable. Without it, all.")  # fmt: skip
@click.option("--without", multiple=True, type=click.Choice([*map(str, Part), "each"]),
              metavar="PART", help=f"Also population without a part ({', '.join(Part)}), or "
              "without `each`; repeatable.")  # fmt: skip
@click.option("--landscape", "kinds", multiple=True, type=click.Choice(list(map(str, Kind))),
              default=tuple(map(str, Kind)), show_default=True,
              help="A kind; repeatable.")  # fmt: skip
@click.option("--noise", "noises", multiple=True, type=click.Choice(list(NOISES)),
              default=tuple(NOISES), show_default=True, help="A level; repeatable.")  # fmt: skip
@click.option("--seeds", default=len(SEEDS), show_default=True, type=click.IntRange(1, 1000),
              metavar="N", help="Landscapes of each kind.")  # fmt: skip
@click.option("--first-seed", default=SEEDS[0], show_default=True, type=click.IntRange(0),
              metavar="N", help="Seed of the first; those below 120 were looked at.")  # fmt: skip
@click.option("--trials", default=150, show_default=True, type=click.IntRange(10),
              help="Accelerator time of each search, in whole trials.")  # fmt: skip
@click.option("--slots", "slots", multiple=True, type=click.IntRange(1, 64), default=SLOTS,
              show_default=True, metavar="N", help="Trials at a time; repeatable.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Four landscapes, noise in the middle, 60 trials.")
@click.option("--plot", is_flag=True, help="Draw gain against accelerator time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def search_command(
    strategies: tuple[str, ...],
    without: tuple[str, ...],
    kinds: tuple[str, ...],
    noises: tuple[str, ...],
    seeds: int,
    first_seed: int,
    trials: int,
    slots: tuple[int, ...],
    quick: bool,
    plot: bool,
    as_json: bool,
) -> None:
    """Compare strategies on landscapes whose truth is known, at equal accelerator time.

    A variant is a set of ideas, an idea moves the true loss by so much, and a trial shows it with
    noise. `gain` is what the reported best truly gained on the baseline (median and quartiles over
    landscapes), `closed` that as a share of the best that is known, `optimism` by how much the
    report was too good, `false` how many promotions were to a variant that is truly no better,
    `trials` how many were begun in the time of a whole one, `killed` how many true improvements
    early stopping cost.
    """
    parts = tuple(Part) if "each" in without else tuple(Part(name) for name in without)
    wanted = cases(
        strategies=strategies or tuple(STRATEGIES),
        seeds=range(first_seed, first_seed + (4 if quick else seeds)),
        trials=60 if quick else trials,
        slots=(1,) if quick else slots,
        noises=("medium",) if quick else noises,
        kinds=[Kind(kind) for kind in kinds],
        without=parts,
    )
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        line = bar.add_task("simulated searches", total=len(wanted))
        rows = list(run(wanted, lambda: bar.advance(line)))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows]))
        return
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(_table(rows))
    for text in _speeds(rows):
        click.echo(text)
    if plot:
        for _, group in groupby(rows, _place):
            click.echo(_plot(list(group)))
    first, last = min(case.seed for case in wanted), max(case.seed for case in wanted)
    click.echo(f"accelerator time of {wanted[0].trials} trials each, seeds {first} to {last}")


def _place(row: Row) -> tuple[str, str, int]:
    return row.regime.kind, row.regime.noise, row.regime.slots


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("landscape", "noise", "slots", "strategy"):
        table.add_column(name, no_wrap=True)
    for name in ("gain", "quartiles", "closed", "optimism", "false", "trials", "killed"):
        table.add_column(name, justify="right", no_wrap=True)
    for place, group in groupby(rows, _place):
        if table.row_count:
            table.add_section()
        for row in group:
            table.add_row(
                *(str(part) for part in place),
                row.regime.name,
                f"{row.gain:.1f}",
                f"{row.gain_low:.1f} to {row.gain_high:.1f}",
                f"{row.closed:.0%}",
                f"{row.optimism:+.2f}",
                f"{row.false_promotions}/{row.promotions}",
                f"{row.trials_per_length:.2f}",
                f"{row.killed}/{row.improvements}",
            )
    return table


def _speeds(rows: list[Row]) -> Iterator[str]:
    """A line for each strategy that was run in one slot and in many."""
    by_regime = {row.regime: row for row in rows}
    for regime, row in by_regime.items():
        alone = by_regime.get(replace(regime, slots=1))
        if regime.slots > 1 and alone is not None:
            factor = speed_up(alone, row)
            told = f"{factor:.1f} times as fast as 1" if factor else "not to be compared with 1"
            where = f"{regime.kind}, noise {regime.noise}, {regime.name}"
            yield f"{where}: {regime.slots} slots are {told}"


def _plot(rows: list[Row]) -> str:
    """Median true gain of each row against accelerator time, a letter for each strategy."""
    low = min(0.0, *(gain for row in rows for gain in row.path))
    high = max(low + 1e-9, *(gain for row in rows for gain in row.path))
    cells = [[" "] * (3 * MOMENTS) for _ in range(PLOT_LINES)]
    for letter, row in zip(ascii_uppercase, rows, strict=False):
        for moment, gain in enumerate(row.path):
            line = round((high - gain) / (high - low) * (PLOT_LINES - 1))
            # Those that lie on the same point stand side by side.
            place = next((at for at in range(3) if cells[line][3 * moment + at] == " "), 2)
            cells[line][3 * moment + place] = letter
    kind, noise, slots = _place(rows[0])
    lines = [f"\n{kind}, noise {noise}, {slots} slots: true gain against accelerator time"]
    for number, cell in enumerate(cells):
        value = high - number * (high - low) / (PLOT_LINES - 1)
        lines.append(f"{value:8.1f} │{''.join(cell)}".rstrip())
    lines.append(" " * 9 + "└" + "─" * (3 * MOMENTS))
    names = (
        f"{letter} {row.regime.name}" for letter, row in zip(ascii_uppercase, rows, strict=False)
    )
    return "\n".join([*lines, " " * 10 + "  ".join(names)])
