"""The rules of a measurement, and the ways in which a trial ends by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec
import psutil

from evo.arena.job import NONSENSE, Fault, FaultKind
from evo.arena.wire import Frame
from evo.errors import ArenaError
from evo.nouns import Clock, CurvePoint, Status
from evo.sandbox.sandbox import Cell
from evo.text import clean_text

TICK_SECONDS = 0.05
WALL_PER_CPU_SECOND = 10.0
"""On a CPU clock: how much longer than the budget a trial may take on busy cores."""
MOST_PROCESSES = 64
"""Of one cell; compilers start a few."""
LEAST_FREE_MB = 256
"""Of the machine's memory: what no look at a cell's processes finds is found here."""

LARGEST_NUMBER = 1e30
"""Of a loss or a score, on either side of zero: whoever compares them squares and draws them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How trials are measured: the same for every trial of a run."""

    budget_seconds: float
    clock: Clock
    device: str
    """`cpu` or `cuda`."""
    sequence_len: int
    scale: float
    score_tokens: int
    """Most validation tokens that a trial is scored on."""
    score_rows: int
    """Rows a scoring batch."""
    startup_seconds: float
    """Wall seconds from a trainee's start to its first order; compilation falls into it."""
    scoring_seconds: float
    """Wall seconds that scoring may take, with the start of its process."""
    memory_mb: int
    weights_mb: int
    threads: int = 1


class EndedError(Exception):
    """A trial ends without a score."""

    def __init__(self, status: Status, cause: str) -> None:
        super().__init__(cause)
        self.status, self.cause = status, clean_line(cause)


def clean_line(text: str) -> str:
    """Candidate-written text as one short line that is safe to show."""
    return " ".join(clean_text(text).split())[:300]


class Watch(Protocol):
    """Who looks on while a trial runs."""

    def progress(self, point: CurvePoint) -> None:
        """The trainee reported a loss."""

    def should_stop(self) -> bool:
        """Whether the trial is to be given up now."""


class Nobody:
    """Looks on without a word."""

    def progress(self, point: CurvePoint) -> None:
        pass

    def should_stop(self) -> bool:
        return False


def check_memory(cell: Cell, memory_mb: int) -> None:
    """Ends a trial that holds more memory, processes or files than is allowed.

    Raises:
        EndedError: It does.
        ArenaError: The machine itself runs out of memory, whoever it is that takes it.
    """
    looked = cell.meter.survey()
    if cell.meter.peak_memory_mb > memory_mb:
        raise EndedError(
            Status.OUT_OF_MEMORY,
            f"it held {cell.meter.peak_memory_mb:,.0f} MB of memory; {memory_mb:,} are allowed",
        )
    if cell.meter.processes > MOST_PROCESSES:
        raise EndedError(
            Status.CRASHED,
            f"it ran {cell.meter.processes} processes; {MOST_PROCESSES} are allowed",
        )
    if looked and (excess := cell.excess()):
        raise EndedError(Status.CRASHED, excess)
    free_mb = psutil.virtual_memory().available / 2**20 if looked else LEAST_FREE_MB
    if free_mb < LEAST_FREE_MB:
        raise ArenaError(
            f"the machine has {free_mb:.0f} MB of memory left, and trials stop below "
            f"{LEAST_FREE_MB}; make room, or lower tool.evo.slots or tool.evo.arena.memory_mb"
        )


def check_stop(watch: Watch) -> None:
    if watch.should_stop():
        raise ArenaError("the trial was stopped")


def fault(frame: Frame) -> EndedError:
    """What the cell's harness says of an exception of the candidate's code."""
    try:
        said = msgspec.json.decode(bytes(frame.body), type=Fault)
    except NONSENSE:
        return EndedError(Status.CRASHED, "it broke the protocol: its last words make no sense")
    memory = said.kind is FaultKind.OUT_OF_MEMORY
    return EndedError(Status.OUT_OF_MEMORY if memory else Status.CRASHED, said.text)


def gone(cell: Cell) -> EndedError:
    """Why a cell's pipe closed without a word, by the way in which its process ended."""
    code = cell.wait(1.0)
    if code is None:
        return EndedError(Status.CRASHED, "it closed its pipe to the referee")
    if code == -9:
        return EndedError(Status.OUT_OF_MEMORY, "it was killed, most likely for want of memory")
    words = [line for line in clean_text(cell.log.tail()).splitlines() if line.strip()]
    last = f": {words[-1].strip()}" if words else ""
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    return EndedError(Status.CRASHED, f"it ended with {how} before it was done{last}")
