"""One run of a trainee: the clock, the stream, the limits, and the weights that it hands in."""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from evo.arena.compiled import MOST_BYTES
from evo.arena.feed import Feeder, Packer
from evo.arena.job import NONSENSE, CellStats, Job
from evo.arena.rules import (
    LARGEST_NUMBER,
    TICK_SECONDS,
    WALL_PER_CPU_SECOND,
    EndedError,
    Rules,
    Watch,
    check_memory,
    check_stop,
    fault,
    gone,
)
from evo.arena.wire import (
    Frame,
    FrameReader,
    Kind,
    PipeClosedError,
    WireError,
    offer_frame,
    write_frame,
)
from evo.corpus.corpus import Corpus
from evo.nouns import Clock, CurvePoint, Resources, Status
from evo.sandbox.sandbox import Cell

OVERRUN_SHARE = 0.01
"""Of the budget: whoever trains on for longer after its end is refused."""
LEAST_OVERRUN_SECONDS = 0.1
"""Budgets of a few seconds are for trying things out; one step may take more than 1 % of them."""
TRANSFER_SECONDS, TRANSFER_MB_PER_SECOND = 0.05, 500.0
"""What handing in weights may take before it counts as overrun."""
TRANSFER_SHARE = 0.01
"""Of the budget, at most: who pads its weights gains no time to train."""
LEAST_TRANSFER_SECONDS = {Clock.CPU: 0.25, Clock.WALL: 1.0}
"""Where that is less: the weights of a GPU's model take as long after a short training."""
GOODBYE_SECONDS = 5.0
"""For the last words after the weights; they are only for people."""
BATCH_BYTES = 64 << 20
"""Largest batch that may be ordered."""
MOST_WAITING_ORDERS = 1000
"""Orders that may wait to be served; the harness keeps two."""


@dataclass(slots=True)
class Tally:
    """What is known of a trial so far, whether or not it comes to a score."""

    startup_seconds: float = 0.0
    training_seconds: float = 0.0
    overrun_seconds: float = 0.0
    scoring_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    batches: int = 0
    rows: int = 0
    weights_bytes: int = 0
    stats: CellStats = field(default_factory=CellStats)
    curve: list[CurvePoint] = field(default_factory=list)

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Counts the time spent in it as scoring, however it ends."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.scoring_seconds += time.monotonic() - began

    def resources(self, rules: Rules, total_seconds: float) -> Resources:
        return Resources(
            startup_seconds=self.startup_seconds,
            training_seconds=self.training_seconds,
            overrun_seconds=self.overrun_seconds,
            scoring_seconds=self.scoring_seconds,
            total_seconds=total_seconds,
            data_wait_seconds=self.stats.data_wait_seconds,
            peak_memory_mb=self.peak_memory_mb,
            device_memory_mb=self.stats.device_memory_mb,
            tokens=self.rows * rules.sequence_len,
            steps=self.batches,
            parameters=self.stats.parameters,
            weights_mb=self.weights_bytes / 2**20,
        )


class Training:
    """One run of a trainee, from its start to its weights; ends its cell when left.

    Args:
        job: What the trainee is told.
        rules: Budget, clock and caps.
        corpus: Where the stream comes from.
        cell: Where it runs; ended when this is left.
        meanwhile: Called once while the budget runs, where that takes nothing from the trainee.
        watch: Who looks on.
        tally: What becomes known is kept here, however it ends.
        compiled: What its compile caches begin with.
    """

    def __init__(
        self,
        job: Job,
        rules: Rules,
        corpus: Corpus,
        cell: Cell,
        meanwhile: Callable[[], None],
        watch: Watch,
        tally: Tally,
        compiled: bytes = b"",
    ) -> None:
        self.left = bytearray()
        """What its compilers have left, where that is wanted."""
        self._compiled = compiled
        self._job, self._rules, self._corpus = job, rules, corpus
        self._cell, self._watch, self._tally = cell, watch, tally
        self._meanwhile: Callable[[], None] | None = meanwhile
        self._weights: bytearray | None = None
        self._began: float | None = None  # reading of the budget's clock at the first batch
        self._began_wall = 0.0
        self._used_at_weights = 0.0

    def __enter__(self) -> Training:
        self._started = time.monotonic()
        self._feeder = Feeder(
            Packer(self._corpus, self._rules.sequence_len, self._job.seed),
            self._cell.inbound,
            self._start_clock,
            lambda: self._used() >= self._rules.budget_seconds,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._end_training()

    def run(self) -> bytearray:
        """Trains; the weights that were handed in.

        Raises:
            EndedError: There will be none that count.
        """
        reader = FrameReader(
            self._cell.outbound,
            {
                Kind.ORDER: 4,
                Kind.REPORT: 12,
                Kind.STATS: 1 << 12,
                Kind.WEIGHTS: self._rules.weights_mb << 20,
                Kind.FAULT: 1 << 16,
                Kind.DONE: 0,
                **({Kind.COMPILED: MOST_BYTES} if self._job.hands_in_compiled else {}),
            },
        )
        try:
            self._brief(reader)
            self._feeder.start()
            while not self._step(reader):
                pass
        except PipeClosedError:
            if self._weights is None:
                raise gone(self._cell) from None
        except WireError as error:
            raise EndedError(Status.CRASHED, f"it broke the protocol: {error}") from error
        finally:
            self._end_training()
        return self._judge_overrun()

    def _brief(self, reader: FrameReader) -> None:
        """Tells it what to do. It may still be loading what it needs to listen."""
        inbound = self._cell.inbound
        job = msgspec.structs.replace(self._job, has_compiled=bool(self._compiled))
        write_frame(inbound, Kind.JOB, msgspec.json.encode(job))
        if self._compiled:
            for _ in offer_frame(inbound, TICK_SECONDS, Kind.COMPILED, self._compiled):
                self._check_limits(reader)
            os.set_blocking(inbound, True)

    def _step(self, reader: FrameReader) -> bool:
        """Waits a tick for a message and looks after the limits; whether training is over."""
        frame = reader.poll(TICK_SECONDS)
        if frame is not None:
            self._take(frame)
        self._check_limits(reader)
        return frame is not None and frame.kind is Kind.DONE

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.ORDER:
            self._take_order(*_numbers("<I", frame.body))
        elif frame.kind is Kind.REPORT:
            self._take_report(*_numbers("<Id", frame.body))
        elif frame.kind is Kind.WEIGHTS:
            self._cell.meter.survey(at_once=True)  # nobody who worked on them is overlooked
            self._weights, self._used_at_weights = frame.body, self._used()
        elif frame.kind is Kind.STATS:
            self._tally.stats = _believable(frame.body)
        elif frame.kind is Kind.COMPILED:
            self.left = frame.body
        elif frame.kind is Kind.FAULT:
            raise fault(frame)

    def _take_order(self, rows: int) -> None:
        size = rows * (self._rules.sequence_len + 1) * 4
        if rows < 1 or size > BATCH_BYTES:
            raise EndedError(
                Status.CRASHED,
                f"it asked for a batch of {rows:,} rows; from 1 to "
                f"{BATCH_BYTES // (4 * (self._rules.sequence_len + 1)):,} are served",
            )
        if self._feeder.waiting >= MOST_WAITING_ORDERS:
            raise EndedError(
                Status.CRASHED,
                f"it asked for {MOST_WAITING_ORDERS:,} batches without taking one",
            )
        self._feeder.order(rows)

    def _take_report(self, step: int, loss: float) -> None:
        if not math.isfinite(loss) or abs(loss) > LARGEST_NUMBER:
            raise EndedError(Status.CRASHED, f"nan: the training loss is {loss} at step {step}")
        point = CurvePoint(
            round(self._used(), 3),
            step,
            loss,
            tokens=self._feeder.rows_served * self._rules.sequence_len,
            memory_mb=round(self._cell.meter.peak_memory_mb, 1),
        )
        curve = self._tally.curve
        if not curve or point.elapsed_seconds - curve[-1].elapsed_seconds > (
            self._rules.budget_seconds / 250
        ):
            curve.append(point)
            self._watch.progress(point)

    def _start_clock(self) -> None:
        """Called by the feeder right before the first batch goes out."""
        self._began_wall = time.monotonic()
        self._tally.startup_seconds = self._began_wall - self._started
        on_cpu = self._rules.clock is Clock.CPU
        # What is rounded away here is no credit for later, so it isn't added.
        self._began = self._cell.meter.cpu_seconds() if on_cpu else time.monotonic()

    def _used(self) -> float:
        if self._began is None:
            return 0.0
        on_cpu = self._rules.clock is Clock.CPU
        now = self._cell.meter.most_cpu_seconds() if on_cpu else time.monotonic()
        return now - self._began

    def _check_limits(self, reader: FrameReader) -> None:
        check_memory(self._cell, self._rules.memory_mb)
        check_stop(self._watch)
        now, rules = time.monotonic(), self._rules
        if self._began is None:
            if now - self._started > rules.startup_seconds:
                raise EndedError(
                    Status.TIMED_OUT, f"no batch was asked for within {rules.startup_seconds:.0f} s"
                )
            return
        if self._meanwhile is not None and rules.clock is Clock.WALL:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        late = self._used() - rules.budget_seconds - self._allowance(reader)
        if late > 0 and self._weights is None:
            raise EndedError(
                Status.TIMED_OUT,
                f"no weights had come {late + self._overrun_allowed():.2f} s after the end of the "
                f"budget of {rules.budget_seconds:g} s",
            )
        if late > GOODBYE_SECONDS or self._over_the_wall(now):
            if self._weights is None:
                raise EndedError(
                    Status.TIMED_OUT,
                    f"it used {self._used():.1f} s of CPU in {now - self._began_wall:.0f} s",
                )
            raise PipeClosedError  # the last whole weights count

    def _over_the_wall(self, now: float) -> bool:
        """On a CPU clock, a trainee that sleeps would never end."""
        budget = self._rules.budget_seconds
        return now - self._began_wall > budget * WALL_PER_CPU_SECOND + GOODBYE_SECONDS

    def _overrun_allowed(self) -> float:
        return max(self._rules.budget_seconds * OVERRUN_SHARE, LEAST_OVERRUN_SECONDS)

    def _allowance(self, reader: FrameReader) -> float:
        arriving = reader.arriving is Kind.WEIGHTS
        return self._overrun_allowed() + self._transfer(reader.expected_bytes if arriving else 0)

    def _transfer(self, size: int) -> float:
        """Seconds that so many bytes of weights may take."""
        rules = self._rules
        most = max(TRANSFER_SHARE * rules.budget_seconds, LEAST_TRANSFER_SECONDS[rules.clock])
        return TRANSFER_SECONDS + min(size / 2**20 / TRANSFER_MB_PER_SECOND, most)

    def _judge_overrun(self) -> bytearray:
        """Refuses weights that came later than their transfer explains."""
        tally, budget = self._tally, self._rules.budget_seconds
        if self._weights is None:
            raise EndedError(Status.CRASHED, "it ended without handing in weights")
        if not self._feeder.batches_served:
            raise EndedError(Status.CRASHED, "it handed in weights without asking for a batch")
        tally.weights_bytes = len(self._weights)
        transfer = self._transfer(len(self._weights))
        tally.overrun_seconds = max(0.0, self._used_at_weights - budget - transfer)
        tally.training_seconds = self._used_at_weights
        if tally.overrun_seconds > self._overrun_allowed():
            raise EndedError(
                Status.TIMED_OUT,
                f"its weights came {tally.overrun_seconds:.2f} s after the end of the budget of "
                f"{budget:g} s; {self._overrun_allowed():.2f} s are allowed",
            )
        return self._weights

    def _end_training(self) -> None:
        tally = self._tally
        if self._began is not None and not tally.training_seconds:
            tally.training_seconds = max(0.0, self._used())
        self._cell.meter.survey(at_once=True)
        self._cell.kill()
        self._feeder.stop(GOODBYE_SECONDS)  # it writes to the cell's pipe until then
        self._cell.end()
        tally.peak_memory_mb = self._cell.meter.peak_memory_mb
        tally.batches, tally.rows = self._feeder.batches_served, self._feeder.rows_served


def _numbers(layout: str, body: bytearray) -> tuple[Any, ...]:
    if len(body) != struct.calcsize(layout):
        raise WireError(
            f"a message of {len(body)} bytes came where {struct.calcsize(layout)} belong"
        )
    return struct.unpack(layout, body)


def _believable(body: bytearray) -> CellStats:
    """A trainee's words about itself, or none of them if they make no sense."""
    try:
        stats = msgspec.json.decode(bytes(body), type=CellStats)
    except NONSENSE:
        return CellStats()
    numbers = (stats.parameters, stats.device_memory_mb, stats.data_wait_seconds)
    return stats if all(0 <= number < 1e15 for number in numbers) else CellStats()
