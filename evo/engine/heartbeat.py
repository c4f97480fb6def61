"""The heartbeat: a small file, replaced every second, by which a running engine can be watched.

The engine is a process of its own; the file system is all that lies between it and who looks on.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import msgspec
import psutil

FILE = "engine.json"
LOG = "events.log"
"""Beside the heartbeat: one line for people for everything that happened."""
MOST_MARKS = 32
"""Who looks on may miss more trials than these between two looks."""
PROC = Path("/proc")
ENDED = ("Z", "X")
"""States, there, of a process that stays in the table until its parent has asked how it ended."""


class Phase(StrEnum):
    """What an engine is doing, or how it ended."""

    STARTING = "starting"
    SEARCHING = "searching"
    PAUSED = "paused"
    """No new trial is started until somebody resumes it; those that run go on."""
    FINISHING = "finishing"
    """No new trial is started; those that run are awaited."""
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        return self in (Phase.STOPPED, Phase.FAILED)

    @property
    def open(self) -> bool:
        """Whether there is more to come than what runs already."""
        return self in (Phase.SEARCHING, Phase.PAUSED)


class RunningTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that runs now."""

    trial: int
    variant: int
    title: str
    share: float
    """Of the budget, from 0 to 1, as of the last report."""
    loss: float | None = None
    elapsed_seconds: float = 0.0
    again: bool = False
    """Whether the variant has been measured before."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How the search stood after a trial, in the heartbeat's words."""

    trial: int
    trials_finished: int
    kept: int
    best: float | None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an engine at one moment; scores are in the run's metric."""

    run: str
    pid: int
    started: float
    """Process start as `process_start` has it: a reused pid doesn't have it."""
    at: float
    """Unix seconds."""
    phase: Phase
    message: str = ""
    """Why it stopped or failed."""
    metric: str = ""
    trials_finished: int = 0
    trials_scored: int = 0
    trials_wanted: int | None = None
    """None means until it is stopped."""
    proposals: int = 0
    refused: int = 0
    """Proposals that never became a trial."""
    kept: int = 0
    """Variants that are among the living."""
    queued: int = 0
    slots: int = 0
    """Trials at a time."""
    busy: float | None = None
    """Share of the slots' time in which a trial ran, since this engine started."""
    baseline: float | None = None
    best: float | None = None
    """The champion's mean."""
    champion: int | None = None
    champion_title: str = ""
    seconds: float = 0.0
    """Since this engine started."""
    seconds_left: float | None = None
    """Estimate; None where nothing is known yet or nothing ends it."""
    spent_usd: float = 0.0
    """On models, since this engine started."""
    limit_usd: float | None = None
    """What may be spent since then; None means that nothing limits it."""
    running: tuple[RunningTrial, ...] = ()
    marks: tuple[Mark, ...] = ()
    """After each of the last `MOST_MARKS` trials of this engine, oldest first."""

    def after(self, trial: int) -> Heartbeat | None:
        """The heartbeat with what was so after a trial; None if that is too long ago."""
        for mark in self.marks:
            if mark.trial == trial:
                return msgspec.structs.replace(
                    self, trials_finished=mark.trials_finished, kept=mark.kept, best=mark.best
                )
        return None


def process_start(pid: int) -> float:
    """When a process started, as the system counts it; 0 if it is gone.

    Where there is /proc, in clock ticks since boot (proc(5)), which stay as they are when the clock
    is set; elsewhere in Unix seconds.
    """
    if (PROC / "self" / "stat").exists():
        try:
            # A name in brackets may hold anything; what follows it are the fields from the third.
            stat = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
        except OSError:
            return 0.0
        state, *fields = stat.rpartition(")")[2].split()
        return 0.0 if state in ENDED else float(fields[18])
    try:
        process = psutil.Process(pid)
        # One that has ended stays in the table until its parent has asked how.
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return 0.0


def write(folder: Path, heartbeat: Heartbeat) -> None:
    """Replaces the heartbeat; a reader sees the old one or the new one, never a part.

    Raises:
        OSError: It can't be written.
    """
    beside = folder / f".{FILE}.tmp"
    beside.write_bytes(msgspec.json.encode(heartbeat))
    beside.replace(folder / FILE)


def write_last(folder: Path, heartbeat: Heartbeat) -> None:
    """Writes the heartbeat of an engine that ends, over the old one where the disk is full.

    Raises:
        OSError: Not even that can be done.
    """
    try:
        write(folder, heartbeat)
    except OSError:
        (folder / f".{FILE}.tmp").unlink(missing_ok=True)
        with (folder / FILE).open("r+b") as file:  # its blocks are there already
            file.write(msgspec.json.encode(heartbeat))
            file.truncate()


def read(folder: Path) -> Heartbeat | None:
    """The last heartbeat of a run; None if there is none that makes sense."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Heartbeat)
    except (OSError, msgspec.MsgspecError):
        return None


def alive(heartbeat: Heartbeat | None) -> bool:
    """Whether the engine that wrote it is still at work on this machine."""
    if heartbeat is None or heartbeat.phase.over or heartbeat.pid == 0:
        return False
    return abs(process_start(heartbeat.pid) - heartbeat.started) < 1.0


def this_process() -> tuple[int, float]:
    """Pid and start of the process that asks."""
    pid = os.getpid()
    return pid, process_start(pid)
