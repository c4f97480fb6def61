"""What `evo run --plain` prints of an engine, and what is printed after the screen was left.

It reads the heartbeat and the log of events; it never speaks to the engine but through the inbox.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from rich.console import Console

from evo.engine import heartbeat, inbox
from evo.engine.heartbeat import Heartbeat
from evo.report.words import duration, money

POLL_SECONDS = 0.25
HINT = "Ctrl-C finishes the running trials and stops"
ANSWERS = (
    ("finish", "finishing the running trials; Ctrl-C again stops now"),
    ("now", "stopping now"),
)
"""What each Ctrl-C asks of the engine, and what is said."""


class EventTail:
    """The lines that were added to a run's log of events since it was opened."""

    def __init__(self, run_folder: Path) -> None:
        self._path = run_folder / heartbeat.LOG
        self._position = self._path.stat().st_size if self._path.exists() else 0
        self._rest = ""

    def new_lines(self) -> list[str]:
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._position)
            text = self._rest + log.read()
            self._position = log.tell()
        *lines, self._rest = text.split("\n")
        return lines


def progress_words(beat: Heartbeat) -> str:
    """The leader's mean, kept and tried, and the time left, in one short line."""
    wanted = f"/{beat.trials_wanted}" if beat.trials_wanted else ""
    leader = f"leader {beat.best:.4f}" if beat.best is not None else "no leader yet"
    tried = f"kept {beat.kept}, tried {beat.trials_finished}{wanted}"
    left = f", {duration(beat.seconds_left)} left" if beat.seconds_left is not None else ""
    spent = ""
    if beat.limit_usd is not None:
        spent = f", {money(beat.spent_usd)} of {money(beat.limit_usd)} spent"
    return f"{leader}, {tried}{spent}{left}"


def _trial_of(line: str) -> int | None:
    """The trial whose end a line of the log tells; None if it tells something else."""
    _day, _time, kind, number, *_ = [*line.split(maxsplit=4), "", "", "", ""]
    return int(number) if kind == "trial" and number.isdecimal() else None


def watch(run_folder: Path, *, console: Console, events: EventTail) -> Heartbeat:
    """Prints what an engine does until it ends; its last heartbeat.

    The first Ctrl-C has the running trials finished, the second stops now, the third leaves.
    """
    show = _Lines(console)
    answered = 0
    with _Interrupts() as interrupts, show:
        while True:
            lines = events.new_lines()
            beat = heartbeat.read(run_folder)  # later than the lines, so that it knows their trials
            for line in lines:
                show.event(line, beat)
            if beat is not None and (beat.phase.over or not heartbeat.alive(beat)):
                for line in events.new_lines():
                    show.event(line, beat)
                return beat
            if interrupts.count > answered:
                answered += 1
                if answered > len(ANSWERS):
                    raise KeyboardInterrupt
                how, words = ANSWERS[answered - 1]
                inbox.ask(run_folder, inbox.Verb.STOP, how=how)
                show.note(words)
            time.sleep(POLL_SECONDS)


class _Interrupts:
    """Counts each Ctrl-C instead of raising it, so that none comes at an unfit moment."""

    def __enter__(self) -> _Interrupts:
        self.count = 0
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.count += 1


class _Lines:
    """Lines that don't move: for logs, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _Lines:
        self.note(HINT)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def event(self, line: str, beat: Heartbeat | None) -> None:
        trial = _trial_of(line)
        after = beat.after(trial) if beat is not None and trial is not None else None
        status = f"  [{progress_words(after)}]" if after is not None else ""
        self._console.print(
            line.partition(" ")[2] + status, markup=False, highlight=False, soft_wrap=True
        )

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)
