"""`evo eval`: measures any training script with several seeds, without a search."""

from __future__ import annotations

import json
import queue
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from evo.arena.profile import choose
from evo.cli import place
from evo.cli.running import prepare_data
from evo.config import Settings
from evo.engine.assembly import setups_of
from evo.errors import EvoError
from evo.executors.executor import TrialEvent, TrialLost, TrialProgress
from evo.executors.local import LocalExecutor
from evo.nouns import Measurement
from evo.operators.screening import screen


@click.command("eval")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), metavar="K",
              help="Measure with K different seeds.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="The first seed.")
@click.option("--budget", type=float, metavar="SECONDS", help="Seconds that each may train for.")
@click.option("--slots", type=int, metavar="N", help="Measurements at a time.")
@click.option("--unsafe", is_flag=True, default=None, help="Run without a sandbox if need be.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def eval_command(
    file: Path,
    seeds: int,
    seed: int,
    budget: float | None,
    slots: int | None,
    unsafe: bool | None,
    as_json: bool,
) -> None:
    """Measure FILE as a search would: mean and spread of the score over K seeds."""
    overrides = {"task.budget_seconds": budget, "slots": slots, "unsafe": unsafe}
    settings = place.settings_for(None, **overrides)
    try:
        source = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise EvoError(f"{file} isn't text: {error}") from error
    cause = screen(source, settings.task.recipe)
    if cause:
        raise EvoError(f"{file} can't be measured: {cause}")
    prepare_data(settings)
    found = measure(source, [seed + number for number in range(seeds)], settings)
    if as_json:
        rows = [{"seed": number, **asdict(one)} for number, one in sorted(found.items())]
        for row in rows:
            row.pop("curve")
        click.echo(json.dumps(rows))
    else:
        _print(found, settings)
    sys.exit(0 if all(one.score is not None for one in found.values()) else 1)


def measure(source: str, seeds: list[int], settings: Settings) -> dict[int, Measurement]:
    """One measurement a seed, in as many slots as there are.

    Raises:
        EvoError: A trial couldn't be run, through no fault of the script.
    """
    profile = choose(settings)
    events: queue.SimpleQueue[TrialEvent] = queue.SimpleQueue()
    slots = min(profile.slots, len(seeds))
    setups = setups_of(place.project(), settings, profile)[:slots]
    executor = LocalExecutor(setups, events.put)
    waiting, found = list(reversed(seeds)), dict[int, Measurement]()
    shares = dict.fromkeys(seeds, 0.0)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    try:
        with bar:
            line = bar.add_task(f"measuring {len(seeds)} seeds", total=len(seeds))
            while len(found) < len(seeds):
                while waiting and executor.free_slots:
                    number = waiting.pop()
                    executor.submit(number, source, number, "")
                event = events.get()
                if isinstance(event, TrialLost):
                    raise EvoError(event.cause)
                if isinstance(event, TrialProgress):
                    share = event.point.elapsed_seconds / profile.task.budget_seconds
                    shares[event.trial] = min(share, 1.0)
                else:
                    found[event.trial], shares[event.trial] = event.measurement, 1.0
                bar.update(line, completed=sum(shares.values()))
    finally:
        executor.close()
    return found


def _print(found: dict[int, Measurement], settings: Settings) -> None:
    metric = settings.task.metric
    scores = [one.score for _, one in sorted(found.items()) if one.score is not None]
    for number, one in sorted(found.items()):
        result = f"{metric} {one.score:.6f}" if one.score is not None else one.status.upper()
        speed = one.resources.tokens_per_second
        more = f"{speed:,.0f} tokens/s, {one.resources.steps} steps" if speed else ""
        click.echo(f"seed {number}: {result}  {more or one.cause}".rstrip())
    if len(scores) > 1:
        click.echo(
            f"mean {statistics.mean(scores):.6f}  std {statistics.stdev(scores):.6f}  "
            f"range {max(scores) - min(scores):.6f}  n {len(scores)}"
        )
