"""`evo status`: what a run is doing on one screen of plain text, once or as long as it works."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

import click
import msgspec
from rich.console import Console

from evo.cli import place
from evo.cli.console import plain_console
from evo.cli.watching import progress_words
from evo.config import Settings
from evo.engine import heartbeat
from evo.engine.heartbeat import Heartbeat, Phase
from evo.engine.layout import PUBLISHED
from evo.errors import EvoError
from evo.report.summary import AtWork, print_summary
from evo.report.words import duration
from evo.text import clean_text

LOOK_SECONDS = 2.0
HOME, TO_LINE_END, TO_SCREEN_END = "\x1b[H", "\x1b[K", "\x1b[J"
"""How a terminal is drawn over without a flicker (ECMA-48)."""


@click.command("status")
@click.option("--run", "run_name", metavar="NAME", help="Name of the run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch, a line each time.")
@click.option("--watch", is_flag=True, help="Go on until the engine ends; Ctrl-C leaves.")
def status_command(run_name: str | None, as_json: bool, watch: bool) -> None:
    """What a run is doing, on one screen.

    With --watch a terminal is drawn over every two seconds; into a pipe or a file goes a line
    whenever a trial has ended.
    """
    status = Status(place.settings_for(run_name))
    if not watch:
        click.echo(status.json() if as_json else status.text(plain_console()), nl=as_json)
        return
    with suppress(KeyboardInterrupt):
        _watch(status, as_json=as_json)


class Status:
    """What is known of a run at one moment, and of its archive since it was published last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._flag = place.run_flag(settings)
        self._archive = place.archive_folder(settings) / PUBLISHED
        self._summary: tuple[int, int, AtWork, str] | None = None

    def beat(self) -> tuple[Heartbeat, bool]:
        """The heartbeat, and whether its engine is at work.

        Raises:
            EvoError: There is none.
        """
        beat = heartbeat.read(place.run_folder(self._settings))
        if beat is None:
            place.published_archive(self._settings.run)
            raise EvoError(
                f"nothing is known of an engine of {self._settings.run}; "
                f"`evo best{self._flag}` looks back"
            )
        return beat, heartbeat.alive(beat)

    def json(self) -> str:
        beat, working = self.beat()
        return json.dumps({**msgspec.to_builtins(beat), "working": working})

    def text(self, console: Console) -> str:
        """The screen, for a console's width and colours."""
        beat, working = self.beat()
        with console.capture() as drawn:
            console.print(state_words(beat, working, self._flag), highlight=False, markup=False)
            if working:
                console.print(progress_words(beat), highlight=False)
            for trial in beat.running if working else ():
                loss = f"loss {trial.loss:.3f}" if trial.loss is not None else "starting"
                again = "again: " if trial.again else ""
                console.print(
                    f"  v{trial.variant:<5} {trial.share:4.0%}  {loss:<12} "
                    f"{again}{clean_text(trial.title)}",
                    highlight=False,
                    markup=False,
                    no_wrap=True,
                    overflow="ellipsis",
                )
        return drawn.get() + self._summarise(console, _at_work(beat, working))

    def _summarise(self, console: Console, engine: AtWork) -> str:
        """The summary, made anew when another copy was published, the terminal is another or the
        engine does something else."""
        try:
            stamp = (self._archive.stat().st_mtime_ns, console.width, engine)
        except OSError:
            return ""
        if self._summary is None or self._summary[:3] != stamp:
            with console.capture() as drawn:
                print_summary(self._archive, console, self._flag, engine=engine)
            self._summary = (*stamp, drawn.get())
        return self._summary[3]


def _at_work(beat: Heartbeat, working: bool) -> AtWork:
    phases = {Phase.PAUSED: AtWork.PAUSED, Phase.FINISHING: AtWork.FINISHING}
    return phases.get(beat.phase, AtWork.SEARCHING) if working else AtWork.NOBODY


def _watch(status: Status, *, as_json: bool) -> None:
    """Looks again and again; ends after the engine has."""
    console, told = plain_console(), -1
    draws_over = console.is_terminal and not console.is_dumb_terminal and not as_json
    if draws_over:
        console.clear()
    while True:
        beat, working = status.beat()
        if draws_over:
            _draw_over(status.text(console), console.height)
        elif as_json:
            click.echo(status.json())
        elif beat.trials_finished != told:
            told = beat.trials_finished
            click.echo(f"{time.strftime('%H:%M:%S')}  {beat.phase}  {progress_words(beat)}")
        if not working:
            break
        time.sleep(LOOK_SECONDS)
    if not as_json and not draws_over:
        click.echo(status.text(console), nl=False)


def _draw_over(text: str, height: int) -> None:
    lines = text.splitlines()
    if len(lines) >= height:
        lines = [*lines[: height - 2], "…"]
    drawn = "".join(f"{line}{TO_LINE_END}\n" for line in lines)
    sys.stdout.write(HOME + drawn + TO_SCREEN_END)
    sys.stdout.flush()


def state_words(beat: Heartbeat, working: bool, flag: str) -> str:
    """What the engine is doing, or how it ended.

    Args:
        beat: Its last one.
        working: Whether it is at work.
        flag: Names the run in the commands that are suggested; see `place.run_flag`.
    """
    if working:
        return f"evo {beat.run} is {beat.phase}, process {beat.pid}, for {duration(beat.seconds)}"
    if beat.phase is Phase.FAILED:
        return f"evo {beat.run} failed: {beat.message}"
    if beat.phase is Phase.STOPPED:
        return f"evo {beat.run} is stopped: {beat.message}; `evo run{flag}` goes on"
    ago = duration(time.time() - beat.at)
    return f"evo {beat.run}: its engine is gone, last seen {ago} ago; `evo run{flag}` goes on"
