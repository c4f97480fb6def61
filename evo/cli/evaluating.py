"""`evo eval` and `evo score`: measure a script or a variant with fresh seeds, without a search."""

from __future__ import annotations

import getpass
import json
import queue
import secrets
import statistics
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from evo.archive.archive import Archive
from evo.archive.publication import publish
from evo.archive.reading import Reader
from evo.arena.compiled import Kept
from evo.arena.profile import choose
from evo.cli import place
from evo.cli.looking import VARIANT
from evo.cli.running import prepare_data
from evo.config import Settings
from evo.corpus.corpus import Corpus, Split
from evo.engine.assembly import data_folder_of, now, setups_of
from evo.engine.layout import COMPILED, DATABASE, PUBLISHED, REPOSITORY
from evo.engine.trials import MOST_ATTEMPTS
from evo.errors import EvoError
from evo.executors.executor import TrialEvent, TrialLost, TrialProgress
from evo.executors.local import LocalExecutor
from evo.nouns import Measurement, Recipe, Status
from evo.operators.screening import screen
from evo.population.population import Population
from evo.report.story import resolve


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
        click.echo(_as_json(found))
    else:
        _print(found, settings)
    sys.exit(0 if all(one.score is not None for one in found.values()) else 1)


@click.command("score", epilog=VARIANT)
@click.argument("variant")
@click.option("--split", type=click.Choice(["search", "holdout", "locked"]), default="search",
              show_default=True, help="The validation text that it is scored on.")  # fmt: skip
@click.option("--locked", is_flag=True, help="Short for --split locked.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), metavar="K",
              help="Train it with K fresh seeds.")  # fmt: skip
@click.option("--slots", type=int, metavar="N", help="Measurements at a time.")
@click.option("--run", "run_name", metavar="NAME", help="Name of the run.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def score_command(
    variant: str,
    split: str,
    locked: bool,
    seeds: int,
    slots: int | None,
    run_name: str | None,
    as_json: bool,
) -> None:
    """Train a VARIANT anew and score it on a split of your choice.

    The search has seen its own split through every selection that it made, so it flatters the
    winner. `locked` is for the one number that you publish. Each opening of a split that the
    search doesn't score on is recorded (`evo sql "from openings"`) and shown: a text that is
    looked at often is no longer unseen.

    It is measured as the run was begun, whatever the settings say by now.
    """
    settings = place.settings_for(run_name, slots=slots)
    chosen = Split.LOCKED if locked else Split(split)
    if settings.task.recipe is Recipe.COMMAND:
        raise EvoError("a command task scores itself on data of its own: it has no splits")
    with Reader.open(place.published_archive(run_name)) as reader:
        begun, data_sha = _as_begun(reader)
        number = resolve(reader, variant)
        [[commit]] = reader.query("SELECT commit FROM variants WHERE id = ?", [number]).rows
        earlier = reader.query("SELECT count(*) FROM openings WHERE split = ?", [chosen]).rows[0][0]
    settings = place.settings_for(run_name, slots=slots, **begun)
    folder = place.run_folder(settings)
    source = Population.open(folder / REPOSITORY, settings.task.editable).source(str(commit))
    prepare_data(settings)
    sha = Corpus.open(Path(data_folder_of(settings))).sha
    if sha != data_sha:
        raise EvoError(
            f"the run {settings.run} was begun with data_sha {data_sha}, not {sha}: scores on the "
            f"two don't compare; bring back {settings.arena.data} as it was"
        )
    numbers = [secrets.randbits(31) for _ in range(seeds)]
    if chosen is Split.SEARCH:
        found = measure(source, numbers, settings)
    else:
        # The archive is held from here on: what is seen is on record, or isn't seen.
        archive = Archive.open(folder / DATABASE)
        try:
            found = measure(source, numbers, settings, split=chosen, deep=True)
            for seed, one in found.items():
                archive.record_opening(number, seed, one, getpass.getuser(), now())
            publish(archive, place.archive_folder(settings) / PUBLISHED)
        finally:
            archive.close()
    if as_json:
        click.echo(_as_json(found))
    else:
        if chosen is not Split.SEARCH:
            times = "once" if earlier == 1 else f"{earlier} times" if earlier else "never"
            click.echo(f"variant {number} on {chosen}, which was opened {times} before in this run")
        _print(found, settings)
    sys.exit(0 if all(one.score is not None for one in found.values()) else 1)


def measure(
    source: str,
    seeds: list[int],
    settings: Settings,
    *,
    split: Split = Split.SEARCH,
    deep: bool = False,
) -> dict[int, Measurement]:
    """One measurement a seed, in as many slots as there are.

    A trial that is lost is run again, as in a search, and is then what infrastructure broke.

    Raises:
        EvoError: None could be run, through no fault of the script.
    """
    profile = choose(settings)
    events: queue.SimpleQueue[TrialEvent] = queue.SimpleQueue()
    slots = min(profile.slots, len(seeds))
    setups = setups_of(place.project(), settings, profile)[:slots]
    executor = LocalExecutor(setups, events.put)
    kept = tempfile.TemporaryDirectory()  # what compilers leave is for this very text again
    compiled = Kept(str(Path(kept.name) / COMPILED), trusted=True)
    waiting, found = list(reversed(seeds)), dict[int, Measurement]()
    shares, starts = dict.fromkeys(seeds, 0.0), Counter[int]()
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
                    starts[number] += 1
                    executor.submit(
                        number, source, number, "",
                        split=split, deep=deep, compiled=compiled,
                    )  # fmt: skip
                event = events.get()
                if isinstance(event, TrialLost) and starts[event.trial] < MOST_ATTEMPTS:
                    waiting.append(event.trial)
                elif isinstance(event, TrialLost):
                    cause = f"it was lost {MOST_ATTEMPTS} times: {event.cause}"
                    found[event.trial] = Measurement(
                        Status.INFRASTRUCTURE, cause=cause, split=split
                    )
                elif isinstance(event, TrialProgress):
                    share = event.point.elapsed_seconds / profile.task.budget_seconds
                    shares[event.trial] = min(share, 1.0)
                else:
                    found[event.trial], shares[event.trial] = event.measurement, 1.0
                bar.update(line, completed=sum(shares.values()))
    finally:
        executor.close()
        kept.cleanup()
    if all(one.status is Status.INFRASTRUCTURE for one in found.values()):
        raise EvoError(found[seeds[0]].cause)
    return found


def _as_begun(reader: Reader) -> tuple[dict[str, Any], str]:
    """What a run's scores are made with: dotted settings, and the SHA-256 of its data."""
    [[budget, clock, scale, device, data, data_sha, settings]] = reader.query(
        "SELECT budget_seconds, clock, scale, device, data_name, data_sha, settings FROM runs"
    ).rows
    arena = json.loads(settings).get("arena", {})
    begun = {
        "task.budget_seconds": budget,
        "task.clock": clock,
        "task.scale": scale,
        "arena.device": device,
        "arena.data": data,
        "arena.sequence_len": arena.get("sequence_len"),
        "arena.score_tokens": arena.get("score_tokens"),
    }
    return begun, str(data_sha)


def _as_json(found: dict[int, Measurement]) -> str:
    rows = [{"seed": number, **asdict(one)} for number, one in sorted(found.items())]
    for row in rows:
        row.pop("curve")
    return json.dumps(rows)


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
