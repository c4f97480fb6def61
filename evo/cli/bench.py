"""`evo bench`: what the strategies are worth, on simulated landscapes with known truth."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from evo.search.rivals import STRATEGIES
from evo.simulate.bench import NOISES, SEEDS, Row, cases, run


@click.group("bench")
def bench() -> None:
    """Measure the search itself, without training anything."""


@bench.command("search")
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(list(STRATEGIES)),
              help="One to compare; repeatable. Without it, all.")  # fmt: skip
@click.option("--seeds", default=len(SEEDS), show_default=True, type=click.IntRange(1, 1000),
              metavar="N", help="Landscapes of each kind.")  # fmt: skip
@click.option("--trials", default=150, show_default=True, type=click.IntRange(10),
              help="Trials of each search.")  # fmt: skip
@click.option("--slots", "slots", multiple=True, type=click.IntRange(1, 64), default=(1,),
              show_default=True, metavar="N", help="Trials at a time; repeatable.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Four landscapes, noise in the middle, 60 trials.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def search_command(
    strategies: tuple[str, ...],
    seeds: int,
    trials: int,
    slots: tuple[int, ...],
    quick: bool,
    as_json: bool,
) -> None:
    """Compare strategies on landscapes whose truth is known.

    A variant is a set of ideas, an idea moves the true loss by so much, and a trial shows it with
    noise. `gain` is what the reported best truly gained on the baseline, `closed` that as a share
    of the best that is known, `optimism` by how much the report was too good, `false` how many
    promotions were to a variant that is truly no better.
    """
    wanted = cases(
        strategies=strategies or tuple(STRATEGIES),
        seeds=SEEDS[:4] if quick else range(SEEDS[0], SEEDS[0] + seeds),
        trials=60 if quick else trials,
        slots=slots,
        noises=("medium",) if quick else tuple(NOISES),
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
    else:
        first, last = min(case.seed for case in wanted), max(case.seed for case in wanted)
        Console().print(_table(rows))
        click.echo(f"{wanted[0].trials} trials each, seeds {first} to {last}")


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("landscape", "noise", "slots", "strategy"):
        table.add_column(name, no_wrap=True)
    for name in ("gain", "quartiles", "closed", "optimism", "false"):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in rows:
        regime = (row.kind, row.noise, row.slots)
        if before not in (None, regime):
            table.add_section()
        before = regime
        table.add_row(
            *(str(part) for part in regime),
            row.strategy,
            f"{row.gain:.1f}",
            f"{row.gain_low:.1f} to {row.gain_high:.1f}",
            f"{row.closed:.0%}",
            f"{row.optimism:+.2f}",
            f"{row.false_promotions}/{row.promotions}",
        )
    return table
