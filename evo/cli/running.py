"""`evo run` and what belongs to it: starting an engine, stopping it, and giving it work."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from evo.cli import place
from evo.cli.console import plain_console
from evo.cli.watching import EventTail, watch
from evo.config import Settings
from evo.engine import heartbeat, inbox
from evo.engine.heartbeat import Heartbeat, Phase
from evo.errors import EvoError, RunHeldError
from evo.nouns import Recipe
from evo.patch import is_diff
from evo.text import clean_text

OUTPUT = "engine.out"


def search_options(command: Any) -> Any:
    """The flags that a search may be started with."""
    options = [
        click.option("--run", "run_name", metavar="NAME", help="Name of the run [settings: main]."),
        click.option("--trials", type=int, metavar="N", help="Stop after N trials from now."),
        click.option("--hours", type=float, metavar="H", help="Stop after H hours from now."),
        click.option(
            "--model",
            multiple=True,
            metavar="NAME",
            help="Language model, as in openai/gpt-5; may be given again [settings: none].",
        ),
        click.option("--cost", type=float, metavar="USD", help="Stop when models have cost this."),
        click.option("--context-tokens", type=int, metavar="N", help="Most tokens of a prompt."),
        click.option(
            "--budget", type=float, metavar="SECONDS", help="Seconds that a trial may train for."
        ),
        click.option("--slots", type=int, metavar="N", help="Trials at a time."),
        click.option(
            "--strategy",
            metavar="NAME",
            help="population, greedy, greedy-replicated, best-of-n, random or tpe.",
        ),
        click.option("--seed", type=int, metavar="N", help="Seed of the search."),
        click.option(
            "--unsafe", is_flag=True, default=None, help="Run without a sandbox if need be."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def overrides_of(options: dict[str, Any]) -> dict[str, Any]:
    """Flags as dotted settings."""
    names = {"run_name": "run", "budget": "task.budget_seconds", "model": "models"}
    given = {names.get(name, name): value for name, value in options.items()}
    return given | {"models": list(given["models"]) or None}


@click.command("run")
@search_options
@click.option("--plain", is_flag=True, help="Lines instead of a picture: for logs and CI.")
@click.option("--detach", is_flag=True, help="Start the engine and return at once.")
def run_command(plain: bool, detach: bool, **options: Any) -> None:
    """Start a search, or go on with one, and watch it.

    The engine is a process of its own: leaving the screen or closing the terminal leaves it
    working. With --plain, Ctrl-C lets the running trials finish and stops; a second Ctrl-C stops at
    once. Nothing that was finished is ever lost, and the same command goes on where the run was.
    """
    overrides = {name: value for name, value in overrides_of(options).items() if value is not None}
    settings = place.settings_for(**overrides)
    folder = place.run_folder(settings)
    console = plain_console()
    _refuse_if_held(settings, heartbeat.read(folder))
    place.editable_text(settings)
    prepare_data(settings)
    folder.mkdir(parents=True, exist_ok=True)
    events = EventTail(folder)
    engine = start_engine(folder, overrides)
    beat = _await_first_beat(folder, engine)
    if detach:
        flag = place.run_flag(settings)
        console.print(f"evo {settings.run} runs as process {beat.pid}; see `evo status{flag}`")
        return
    if not plain and console.is_terminal and sys.stdin.isatty():
        if not _attach(settings, folder, console):
            return
        events = EventTail(folder)  # what was on the screen isn't told again
    last = watch(folder, console=console, events=events)
    _tell_the_end(last, folder, settings, console)


def _attach(settings: Settings, folder: Path, console: Console) -> bool:
    """Shows the run in the terminal until somebody leaves; whether to wait for its end."""
    from evo.cli.tui import attach, place_in_project
    from evo.tui.dialogs import LeaveHow

    how = attach(place_in_project(settings))
    beat = heartbeat.read(folder)
    if how in (LeaveHow.FINISH, LeaveHow.NOW) or not heartbeat.alive(beat):
        return True
    pid = f" as process {beat.pid}" if beat else ""
    console.print(
        f"evo {settings.run} works on{pid}: `evo tui` looks in again, "
        f"`evo stop{place.run_flag(settings)}` stops it",
        highlight=False,
    )
    return False


def start_engine(folder: Path, overrides: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Starts an engine that outlives this process."""
    with (folder / OUTPUT).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "evo", "engine", json.dumps(overrides)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@click.command("engine", hidden=True)
@click.argument("overrides")
def engine_command(overrides: str) -> None:
    """The engine itself, without a picture; `evo run` starts it."""
    from evo.engine.assembly import assemble

    settings = place.settings_for(**json.loads(overrides))
    engine = assemble(
        project=place.project(),
        settings=settings,
        folder=place.run_folder(settings),
        archive_folder=place.archive_folder(settings),
        baseline=place.editable_text(settings),
    )
    sys.exit(2 if engine.run() is Phase.FAILED else 0)


@click.command("stop")
@click.option("--run", "run_name", metavar="NAME", help="Name of the run [settings: main].")
@click.option("--now", is_flag=True, help="Don't wait for the running trials.")
def stop_command(run_name: str | None, now: bool) -> None:
    """Stop a running search; its running trials finish first, unless --now."""
    settings = place.settings_for(run_name)
    folder = place.run_folder(settings)
    if not heartbeat.alive(heartbeat.read(folder)):
        click.echo(f"no engine works on {settings.run}")
        return
    inbox.ask(folder, inbox.Verb.STOP, how="now" if now else "finish")
    click.echo("stopping now" if now else "the running trials will finish first (--now stops them)")


@click.command("enqueue")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--title", help="What it is called [the file's name, or its Title: line].")
@click.option("--run", "run_name", metavar="NAME", help="Name of the run [settings: main].")
def enqueue_command(file: Path, title: str | None, run_name: str | None) -> None:
    """Have FILE tried next: a patch, or a whole train.py.

    A running engine takes it at once; otherwise the next `evo run` does.
    """
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise EvoError(f"{file} isn't text: {error}") from error
    if not text.strip():
        raise EvoError(f"{file} is empty; hand in a patch, or a whole file")
    settings = place.settings_for(run_name)
    folder = place.run_folder(settings)
    if title is None and not is_diff(text):
        title = f"By hand: {file.name}"
    inbox.ask(folder, inbox.Verb.ENQUEUE, title=clean_text(title or ""), text=text)
    running = heartbeat.alive(heartbeat.read(folder))
    flag = place.run_flag(settings)
    click.echo("queued" if running else f"kept for the next `evo run{flag}`")


def prepare_data(settings: Settings) -> None:
    """Has the data of an arena task ready."""
    if settings.task.recipe is Recipe.ARENA:
        from evo.corpus.preparation import prepare_if_missing

        prepare_if_missing(settings.arena.data)


def _refuse_if_held(settings: Settings, beat: Heartbeat | None) -> None:
    if beat is not None and heartbeat.alive(beat):
        flag = place.run_flag(settings)
        raise RunHeldError(
            f"an engine works on {settings.run} already (process {beat.pid}); see "
            f"`evo status{flag}`, end it with `evo stop{flag}`, or start another run with "
            "--run NAME"
        )


def _await_first_beat(folder: Path, engine: subprocess.Popen[bytes]) -> Heartbeat:
    """Waits until the engine shows itself, however long it takes to put its stores together.

    Raises:
        EvoError: It ended before that; the text is its own.
    """
    while True:
        beat = heartbeat.read(folder)
        if beat is not None and beat.pid == engine.pid:
            return beat
        if engine.poll() is not None:
            said = (folder / OUTPUT).read_text("utf-8", "replace").strip()
            last = said.splitlines()[-1] if said else f"exit status {engine.returncode}"
            raise EvoError(last.removeprefix("error: "))
        time.sleep(0.05)


def _tell_the_end(last: Heartbeat, folder: Path, settings: Settings, console: Console) -> None:
    from evo.report.summary import print_summary

    if not last.phase.over:
        said = (folder / OUTPUT).read_text("utf-8", "replace").strip().splitlines()
        words = f" ({said[-1]})" if said else ""
        raise EvoError(
            f"the engine is gone{words}; nothing that was finished is lost: "
            f"`evo run{place.run_flag(settings)}` goes on"
        )
    if last.phase is Phase.FAILED:
        raise EvoError(last.message)
    archive, flag = place.published_archive(settings.run), place.run_flag(settings)
    print_summary(archive, console, flag)
