"""The commands that look: best, show, diff, checkout, log and lineage.

They read the published archive and the git repository, never what only the engine may open.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.syntax import Syntax

from evo.archive.reading import Reader
from evo.cli import place
from evo.cli.console import plain_console
from evo.config import Settings
from evo.engine.layout import REPOSITORY
from evo.errors import EvoError
from evo.patch import diff
from evo.population.population import Population
from evo.report.story import Story, resolve, tell
from evo.report.summary import print_best, print_lineage
from evo.text import clean_text

run_option = click.option("--run", "run_name", metavar="NAME", help="Name of the run.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
VARIANT = "A variant is named by its number (17 or v17), its commit, `best` or `baseline`."


@click.command("best")
@run_option
@json_option
def best_command(run_name: str | None, as_json: bool) -> None:
    """The best variant so far, and how it got there."""
    with Reader.open(place.published_archive(run_name)) as reader:
        story = tell(reader, resolve(reader, "best"))
    if as_json:
        click.echo(_story_json(story))
    else:
        print_best(story, plain_console())


@click.command("lineage", epilog=VARIANT)
@click.argument("variant")
@run_option
@json_option
def lineage_command(variant: str, run_name: str | None, as_json: bool) -> None:
    """A variant's ancestors, with what each brought."""
    with Reader.open(place.published_archive(run_name)) as reader:
        story = tell(reader, resolve(reader, variant))
    if as_json:
        click.echo(_story_json(story))
    else:
        print_lineage(story, plain_console())


def _story_json(story: Story) -> str:
    extra: dict[str, Any] = {"gain": story.gain, "gain_error": story.gain_error}
    return json.dumps({**asdict(story), **extra})


@click.command("show", epilog=VARIANT)
@click.argument("variant")
@run_option
@json_option
def show_command(variant: str, run_name: str | None, as_json: bool) -> None:
    """Everything about one variant: why, what, and how its trials went."""
    with Reader.open(place.published_archive(run_name)) as reader:
        number = resolve(reader, variant)
        story = tell(reader, number)
        record = reader.query("SELECT * FROM variants WHERE id = ?", [number])
        trials = reader.query(
            "SELECT id, purpose, status, score, round(training_seconds, 1) AS seconds, steps, "
            "round(tokens / nullif(training_seconds, 0)) AS tokens_per_second, "
            "round(peak_memory_mb) AS memory_mb, cause, holdout_score, audit_honest, sandbox, "
            "audit_positions, audit_worst_nats FROM trials WHERE variant = ? ORDER BY id",
            [number],
        )
    fields = dict(zip(record.columns, record.rows[0], strict=True))
    if as_json:
        rows = [dict(zip(trials.columns, row, strict=True)) for row in trials.rows]
        click.echo(json.dumps({"variant": fields, "trials": rows}, default=str))
        return
    console, step = plain_console(), story.variant
    console.print(f"v{number}  {clean_text(step.title)}", style="bold", highlight=False)
    parents = " and ".join(f"v{parent}" for parent in step.parents)
    origin = f"{step.operator} of {parents}" if parents else "the baseline"
    console.print(f"{origin}, commit {step.commit[:10]}", highlight=False)
    if step.score:
        console.print(f"{story.metric} {step.score}", highlight=False)
    if fields.get("rationale"):
        console.print(clean_text(str(fields["rationale"])), highlight=False, style="italic")
    for row in trials.rows:
        cells = dict(zip(trials.columns, row, strict=True))
        score = f"{cells['score']:.4f}" if cells["score"] is not None else cells["cause"]
        speed = f"{cells['tokens_per_second'] or 0:,.0f} tokens/s, " if cells["steps"] else ""
        console.print(
            f"trial {cells['id']:<4} {cells['purpose']:<9} {cells['status']}  {score}  "
            f"{speed}{cells['memory_mb'] or 0:,.0f} MB{_audit(cells)}"
            f"{', without a sandbox' if cells['sandbox'] == 'open' else ''}",
            highlight=False,
        )
    print_diff(str(fields["diff"]), console)


def _audit(cells: dict[str, Any]) -> str:
    if cells["audit_honest"] is None:
        return ""
    word = "honest" if cells["audit_honest"] else "DISHONEST"
    return (
        f", {word} at {cells['audit_positions']:,} audited positions "
        f"(worst {cells['audit_worst_nats']:.0e} nats)"
    )


@click.command("diff", epilog=VARIANT)
@click.argument("variant")
@click.argument("other", required=False)
@run_option
def diff_command(variant: str, other: str | None, run_name: str | None) -> None:
    """What VARIANT changed in its first parent, or how it differs from OTHER."""
    settings = place.settings_for(run_name)
    with Reader.open(place.published_archive(run_name)) as reader:
        story = tell(reader, resolve(reader, variant))
        if other is not None:
            before = tell(reader, resolve(reader, other)).variant.commit
        elif story.variant.parents:
            before = tell(reader, story.variant.parents[0]).variant.commit
        else:
            raise EvoError("the baseline has no parent; name a second variant to compare it with")
    population = _population(settings)
    old, new = population.source(before), population.source(story.variant.commit)
    print_diff(diff(old, new, settings.task.editable), plain_console())


def print_diff(text: str, console: Console) -> None:
    """A diff in colours on a terminal, untouched (but for control codes) elsewhere."""
    text = clean_text(text)
    if console.is_terminal and text:
        console.print(Syntax(text, "diff", background_color="default", word_wrap=True))
    else:
        click.echo(text, nl=not text.endswith("\n"))


@click.command("checkout", epilog=VARIANT)
@click.argument("variant")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path),
              help="Write it here [standard output].")  # fmt: skip
@run_option
def checkout_command(variant: str, output: Path | None, run_name: str | None) -> None:
    """Write a variant's file to standard output, or to a file that doesn't exist yet."""
    with Reader.open(place.published_archive(run_name)) as reader:
        commit = tell(reader, resolve(reader, variant)).variant.commit
    text = _population(place.settings_for(run_name)).source(commit)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with output.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError as error:
        raise EvoError(f"{output} exists, and evo overwrites nothing; name another") from error


@click.command("log", epilog=VARIANT)
@click.argument("variant")
@run_option
def log_command(variant: str, run_name: str | None) -> None:
    """What a variant printed while it trained, trial by trial."""
    settings = place.settings_for(run_name)
    with Reader.open(place.published_archive(run_name)) as reader:
        number = resolve(reader, variant)
        trials = reader.query(
            "SELECT id, status, cause FROM trials WHERE variant = ? ORDER BY id", [number]
        ).rows
    if not trials:
        raise EvoError(f"variant {number} has no trial yet")
    for trial, status, cause in trials:
        click.echo(f"trial {trial}: {status}{': ' if cause else ''}{clean_text(str(cause or ''))}")
        path = place.run_folder(settings) / "trials" / str(trial) / "log.txt"
        printed = path.read_text("utf-8", "replace") if path.exists() else ""
        click.echo(clean_text(printed).rstrip() or "(it printed nothing)")


def _population(settings: Settings) -> Population:
    return Population.open(place.run_folder(settings) / REPOSITORY, settings.task.editable)
