"""What `evo run` shows of an engine: a live picture on a terminal, plain lines elsewhere.

It reads the heartbeat and the log of events; it never speaks to the engine but through the inbox.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evo.engine import heartbeat, inbox
from evo.engine.heartbeat import Heartbeat, Phase
from evo.report.words import duration

POLL_SECONDS = 0.25
SHOWN_EVENTS = 8
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
    """Best so far, kept and tried, and the time left, in one short line."""
    wanted = f"/{beat.trials_wanted}" if beat.trials_wanted else ""
    best = f"best {beat.best:.4f}" if beat.best is not None else "no score yet"
    tried = f"kept {beat.kept}, tried {beat.trials_finished}{wanted}"
    left = f", {duration(beat.seconds_left)} left" if beat.seconds_left is not None else ""
    return f"{best}, {tried}{left}"


def watch(run_folder: Path, *, plain: bool, console: Console, events: EventTail) -> Heartbeat:
    """Shows an engine at work until it ends; its last heartbeat.

    The first Ctrl-C has the running trials finished, the second stops now, the third leaves.
    """
    show = _PlainView(console) if plain else _LiveView(console)
    answered = 0
    with _Interrupts() as interrupts, show:
        while True:
            beat = heartbeat.read(run_folder)
            for line in events.new_lines():
                show.event(line, beat)
            if beat is not None:
                show.beat(beat)
                if beat.phase.over or not heartbeat.alive(beat):
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


class _PlainView:
    """Lines that don't move: for logs, pipes and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> _PlainView:
        self.note(HINT)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def event(self, line: str, beat: Heartbeat | None) -> None:
        status = f"  [{progress_words(beat)}]" if beat and "  trial " in line[:32] else ""
        self._console.print(
            line.partition(" ")[2] + status, markup=False, highlight=False, soft_wrap=True
        )

    def beat(self, beat: Heartbeat) -> None:
        pass

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class _LiveView:
    """A picture that is drawn over and over."""

    def __init__(self, console: Console) -> None:
        self._events: deque[str] = deque(maxlen=SHOWN_EVENTS)
        self._note = HINT
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> _LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def event(self, line: str, beat: Heartbeat | None) -> None:
        self._events.append(line.partition(" ")[2])

    def note(self, text: str) -> None:
        self._note = text

    def beat(self, beat: Heartbeat) -> None:
        self._live.update(self._picture(beat))

    def _picture(self, beat: Heartbeat) -> RenderableType:
        lines: list[RenderableType] = [_headline(beat)]
        if beat.trials_wanted:
            lines.append(
                ProgressBar(
                    total=beat.trials_wanted,
                    completed=min(beat.trials_finished, beat.trials_wanted),
                )
            )
        lines.append(_running(beat))
        lines += [
            Text(
                line, no_wrap=True, overflow="ellipsis", style="bold" if "champion" in line else ""
            )
            for line in self._events
        ]
        lines.append(Text(self._note, style="dim"))
        return Group(*lines)


def _headline(beat: Heartbeat) -> Text:
    text = Text(f"evo {beat.run}  ", style="bold", no_wrap=True, overflow="ellipsis")
    text.append(progress_words(beat), style="default not bold")
    if beat.baseline is not None and beat.best is not None and beat.champion:
        text.append(f"  baseline {beat.baseline:.4f}", style="dim not bold")
    if beat.phase is Phase.FINISHING:
        text.append("  finishing", style="yellow")
    return text


def _running(beat: Heartbeat) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=5)
    table.add_column(width=16)
    table.add_column(width=12)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for trial in beat.running:
        loss = f"loss {trial.loss:.3f}" if trial.loss is not None else "starting"
        bar = ProgressBar(total=1.0, completed=trial.share, width=16)
        table.add_row(f"v{trial.variant}", bar, loss, Text(trial.title))
    return table
