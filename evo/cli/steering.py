"""The commands that steer a running search. Each leaves a request in the inbox, and waits until the
engine has taken it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evo.cli import place
from evo.engine import heartbeat, inbox
from evo.engine.inbox import Request, Verb
from evo.errors import EvoError
from evo.text import clean_text

WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05
run_option = click.option(
    "--run", "run_name", metavar="NAME", help="Name of the run [settings: main]."
)
Command = Callable[..., Any]


def ask(run_name: str | None, verb: Verb, **arguments: str) -> None:
    """Asks an engine, waits until it has taken the request, and prints that.

    Raises:
        EvoError: No engine works on the run, and the request would mean nothing to the next one,
            or the engine refuses.
    """
    settings = place.settings_for(run_name)
    folder, flag = place.run_folder(settings), place.run_flag(settings)
    alive = heartbeat.alive(heartbeat.read(folder))
    if verb.needs_engine and not alive:
        raise EvoError(f"no engine works on {settings.run}; `evo run{flag}` starts one")
    if not alive and not folder.exists():
        raise EvoError(f"there is no run {settings.run} here; `evo run{flag}` starts one")
    request = inbox.ask(folder, verb, **arguments)
    if not alive:
        click.echo(f"kept for the next `evo run{flag}`")
    elif _taken(folder, request):
        answer = _answer(folder, request)
        if answer.startswith(inbox.REFUSED):
            raise EvoError(answer.removeprefix(inbox.REFUSED))
        click.echo(answer)
    else:
        click.echo("asked; the engine hasn't answered yet: `evo tui` shows when it does")


def _taken(folder: Path, request: Request) -> bool:
    path = folder / inbox.FOLDER / f"{request.id}.json"
    deadline = time.monotonic() + WAIT_SECONDS
    while path.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _answer(folder: Path, request: Request) -> str:
    """What the engine's log of events says of it."""
    try:
        lines = (folder / heartbeat.LOG).read_text("utf-8", "replace").splitlines()
    except OSError:
        return "taken"
    for line in reversed(lines):
        _, said, outcome = line.partition(f"  request   {inbox.as_line(request)} ")
        if said:
            return outcome
    return "taken"


@click.command("pause")
@run_option
def pause_command(run_name: str | None) -> None:
    """Start no new trial until `evo resume`; those that run go on."""
    ask(run_name, Verb.PAUSE)


@click.command("resume")
@run_option
def resume_command(run_name: str | None) -> None:
    """Go on after `evo pause`."""
    ask(run_name, Verb.RESUME)


@click.command("kill")
@click.argument("trial", type=click.IntRange(min=0))
@run_option
def kill_command(trial: int, run_name: str | None) -> None:
    """Give a trial up, and don't hold it against its variant."""
    ask(run_name, Verb.KILL, trial=str(trial))


@click.command("prune")
@click.argument("trial", type=click.IntRange(min=0))
@run_option
def prune_command(trial: int, run_name: str | None) -> None:
    """Give a trial up as hopeless, which counts against its variant."""
    ask(run_name, Verb.PRUNE, trial=str(trial))


@click.command("retry")
@click.argument("variant")
@run_option
def retry_command(variant: str, run_name: str | None) -> None:
    """Run a variant again, next: for one whose trial was lost or crashed."""
    ask(run_name, Verb.RETRY, variant=str(_number(variant, run_name)))


@click.command("replicate")
@click.argument("variant")
@run_option
def replicate_command(variant: str, run_name: str | None) -> None:
    """Measure a variant once more, with a fresh seed."""
    ask(run_name, Verb.REPLICATE, variant=str(_number(variant, run_name)))


PIN_HELP = """Keep a variant among the parents.

It is never crowded out of the population, and of four parents about one is drawn from all that are
pinned; while it has no score, it has to wait for one. It doesn't become champion by it."""
BAN_HELP = """Never build on a variant again.

It is no parent any more, of a change or of a crossover, it is no candidate for champion, and if it
leads, the one that led before it leads again. What was asked of it already goes on, its trials stay
on record, and its children live: ban them too, or `evo kill` their trials. The baseline can't be
banned."""
off_option = click.option("--off", is_flag=True, help="Take it back.")


@click.command("pin", help=PIN_HELP)
@click.argument("variant")
@off_option
@run_option
def pin_command(variant: str, off: bool, run_name: str | None) -> None:
    _favour(Verb.PIN, variant, off, run_name)


@click.command("ban", help=BAN_HELP)
@click.argument("variant")
@off_option
@run_option
def ban_command(variant: str, off: bool, run_name: str | None) -> None:
    _favour(Verb.BAN, variant, off, run_name)


def _favour(verb: Verb, variant: str, off: bool, run_name: str | None) -> None:
    given = {"variant": str(_number(variant, run_name))} | ({"off": "yes"} if off else {})
    ask(run_name, verb, **given)


@click.command("hint")
@click.argument("text")
@run_option
def hint_command(text: str, run_name: str | None) -> None:
    """Tell the operators something, from now on."""
    if not clean_text(text).strip():
        raise EvoError('a hint has words: evo hint "try a shorter warm-up"')
    ask(run_name, Verb.HINT, text=text)


class Limit(click.ParamType[str]):
    """A number above 0, or `none`."""

    name = "limit"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if value == "none" or 0 < self._kind(value) < math.inf:
                return str(value)
        except ValueError:
            pass
        what = "a whole number" if self._kind is int else "a number"
        return self.fail(f"{value!r} isn't {what} above 0, or `none`", param, ctx)


@click.command("budget")
@click.option(
    "--trials", metavar="N", type=Limit(int), help="Stop after N trials from now, or `none`."
)
@click.option(
    "--hours", metavar="H", type=Limit(float), help="Stop after H hours from now, or `none`."
)
@click.option(
    "--cost",
    metavar="USD",
    type=Limit(float),
    help="Stop when models cost USD more from now, or `none`.",
)
@run_option
def budget_command(
    trials: str | None, hours: str | None, cost: str | None, run_name: str | None
) -> None:
    """Change when the session ends."""
    limits = {"trials": trials, "hours": hours, "cost": cost}
    given = {name: text for name, text in limits.items() if text}
    if not given:
        raise EvoError("name --trials N, --hours H or --cost USD; `none` takes a limit away")
    ask(run_name, Verb.BUDGET, **given)


@click.command("slots")
@click.argument("count", type=click.IntRange(min=1))
@run_option
def slots_command(count: int, run_name: str | None) -> None:
    """Have COUNT trials at a time, at most as many as the engine started with."""
    ask(run_name, Verb.SLOTS, count=str(count))


def _number(variant: str, run_name: str | None) -> int:
    from evo.archive.reading import Reader
    from evo.report.story import resolve

    with Reader.open(place.published_archive(run_name)) as reader:
        return resolve(reader, variant)
