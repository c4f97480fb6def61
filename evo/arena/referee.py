"""The referee: trains a variant in one cell, scores its weights in another, and says what it saw.

It owns what a candidate could cheat with: the clock (training text exists only in the stream that
it serves, and the stream ends with the budget), the seed, and the number. It reads bytes from the
cells and believes none of them further than it must.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from evo.arena.corpus import Corpus, Split
from evo.arena.feed import Feeder, Packer
from evo.arena.job import CellStats, Fault, FaultKind, Job, Role
from evo.arena.preflight import SCALE, SEQUENCE_LEN, VOCAB_SIZE
from evo.arena.sandbox import Cell, Limits, Sandbox
from evo.arena.scoring import batches_of, bits_per_byte, rows_of
from evo.arena.wire import Frame, FrameReader, Kind, PipeClosedError, WireError, write_frame
from evo.errors import ArenaError
from evo.nouns import Clock, CurvePoint, Measurement, Resources, Status
from evo.text import clean_text

TICK_SECONDS = 0.05
OVERRUN_SHARE = 0.01
"""Of the budget: whoever trains on for longer after its end is refused."""
LEAST_OVERRUN_SECONDS = 0.1
"""Budgets of a few seconds are for trying things out; one step may take more than 1 % of them."""
TRANSFER_SECONDS, TRANSFER_MB_PER_SECOND = 0.05, 500.0
"""What handing in weights may take before it counts as overrun."""
WALL_PER_CPU_SECOND = 10.0
"""On a CPU clock: how much longer than the budget a trial may take on busy cores."""
GOODBYE_SECONDS = 5.0
"""For the last words after the weights; they are only for people."""
BATCH_BYTES = 64 << 20
"""Largest batch that may be ordered."""
MOST_PROCESSES = 64
"""Of one cell; compilers start a few."""
COMMAND = ("python", "-m", "evo.arena.cell")


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


@dataclass(slots=True)
class _Tally:
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


class Referee:
    """Measures variants of an arena task, one at a time.

    Args:
        corpus: The prepared data.
        sandbox: How cells are started.
        rules: Budget, clock, shapes and caps.
        filename: What the variant's text is called in tracebacks.
    """

    def __init__(
        self, corpus: Corpus, sandbox: Sandbox, rules: Rules, filename: str = "train.py"
    ) -> None:
        self._corpus, self._sandbox, self._rules = corpus, sandbox, rules
        self._filename = filename

    def measure(
        self,
        source: str,
        seed: int,
        *,
        split: Split = Split.SEARCH,
        log: Path | None = None,
        gpu: str = "",
        watch: Watch | None = None,
    ) -> Measurement:
        """Trains and scores one variant once.

        Args:
            source: The variant's text.
            seed: Seeds its initialisation and the order of the data.
            split: The validation split that is scored.
            log: Where what it prints is kept.
            gpu: Index of the GPU, for a CUDA device.
            watch: Who looks on; may stop the trial.

        Returns:
            A measurement, whatever the variant does.

        Raises:
            ArenaError: The trial couldn't be run, through no fault of the variant.
        """
        began, tally = time.monotonic(), _Tally()
        watch = watch or Nobody()
        status, score, cause = Status.SCORED, None, ""
        training = _Training(self, source, seed, log, gpu, watch, tally)
        try:
            with training:
                weights = training.run()
                score = self._score(training, weights, split)
        except EndedError as ended:
            status, score, cause = ended.status, None, ended.cause
        return Measurement(
            status=status,
            score=score,
            cause=cause,
            resources=tally.resources(self._rules, time.monotonic() - began),
            curve=tuple(tally.curve),
            device=self._rules.device,
            split=str(split),
            data_sha=self._corpus.sha,
        )

    def check(self, source: str, *, log: Path | None = None) -> str:
        """A dry run with tiny shapes on the CPU; why the variant would fail, or nothing."""
        rules, cell = self._rules, self._start(log, "")
        job = Job(
            role=Role.CHECK,
            source=source,
            filename=self._filename,
            vocab_size=VOCAB_SIZE,
            sequence_len=SEQUENCE_LEN,
            scale=SCALE,
            device="cpu",
            threads=1,
            seed=0,
        )
        try:
            cell_reader = FrameReader(cell.outbound, {Kind.FAULT: 1 << 16, Kind.DONE: 0})
            write_frame(cell.inbound, Kind.JOB, msgspec.json.encode(job))
            deadline = time.monotonic() + rules.startup_seconds
            while time.monotonic() < deadline:
                frame = cell_reader.poll(TICK_SECONDS)
                check_memory(cell, rules.memory_mb)
                if frame is not None and frame.kind is Kind.DONE:
                    return ""
                if frame is not None:
                    raise fault(frame)
        except PipeClosedError:
            return gone(cell).cause
        except WireError as error:
            return f"it broke the protocol: {error}"
        except EndedError as ended:
            return ended.cause
        finally:
            cell.end()
        return f"two steps with tiny shapes took more than {rules.startup_seconds:.0f} s"

    def _start(self, log: Path | None, gpu: str) -> Cell:
        return self._sandbox.start(
            COMMAND,
            limits=Limits(memory_mb=self._rules.memory_mb),
            threads=self._rules.threads,
            log=log,
            gpu=gpu,
        )

    def _score(self, training: _Training, weights: bytearray, split: Split) -> float:
        began = time.monotonic()
        cell = training.scorer()
        try:
            nll, targets = self._collect_nll(cell, training, weights, split, began)
        finally:
            cell.end()
            training.tally.scoring_seconds = time.monotonic() - began
        if not np.isfinite(nll).all():
            raise EndedError(Status.CRASHED, "nan: the trained model's predictions aren't finite")
        return bits_per_byte(nll, targets, self._corpus.token_bytes)

    def _collect_nll(
        self, cell: Cell, training: _Training, weights: bytearray, split: Split, began: float
    ) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], np.ndarray]:  # type: ignore[type-arg]
        rules = self._rules
        rows = rows_of(self._corpus, split, rules.sequence_len, rules.score_tokens)
        answers = []
        reader = FrameReader(
            cell.outbound, {Kind.NLL: rules.score_rows * rules.sequence_len * 4, Kind.FAULT: 1 << 16}
        )
        try:
            write_frame(cell.inbound, Kind.JOB, msgspec.json.encode(training.job(Role.SCORE)))
            write_frame(cell.inbound, Kind.WEIGHTS, weights)
            for batch in batches_of(rows, rules.score_rows):
                write_frame(cell.inbound, Kind.BATCH, memoryview(batch))
                frame = self._await_nll(reader, cell, training.watch, began)
                nll = np.frombuffer(frame.body, dtype=np.float32)
                if nll.size != batch.shape[0] * rules.sequence_len:
                    raise EndedError(Status.CRASHED, "scoring answered too few numbers")
                answers.append(nll.reshape(len(batch), -1))
            write_frame(cell.inbound, Kind.END)
        except PipeClosedError as error:
            raise gone(cell) from error
        except WireError as error:
            raise EndedError(Status.CRASHED, f"scoring broke the protocol: {error}") from error
        return np.concatenate(answers), rows[:, 1:]

    def _await_nll(self, reader: FrameReader, cell: Cell, watch: Watch, began: float) -> Frame:
        while time.monotonic() - began < self._rules.scoring_seconds:
            frame = reader.poll(TICK_SECONDS)
            check_memory(cell, self._rules.memory_mb)
            check_stop(watch)
            if frame is not None and frame.kind is Kind.FAULT:
                raise fault(frame)
            if frame is not None:
                return frame
        limit = self._rules.scoring_seconds
        raise EndedError(Status.TIMED_OUT, f"scoring took more than {limit:.0f} s")


class _Training:
    """One run of a trainee, from its start to its weights; ends its cells when left."""

    def __init__(
        self,
        referee: Referee,
        source: str,
        seed: int,
        log: Path | None,
        gpu: str,
        watch: Watch,
        tally: _Tally,
    ) -> None:
        self._referee, self._rules, self._corpus = referee, referee._rules, referee._corpus
        self._source, self._seed = source, seed
        self._log, self._gpu = log, gpu
        self.watch, self.tally = watch, tally
        self._weights: bytearray | None = None
        self._began: float | None = None  # reading of the budget's clock at the first batch
        self._began_wall = 0.0
        self._used_at_weights = 0.0
        self._spare: Cell | None = None

    def __enter__(self) -> _Training:
        self._started = time.monotonic()
        self._cell = self._referee._start(self._log, self._gpu)
        self._feeder = Feeder(
            Packer(self._corpus, self._rules.sequence_len, self._seed),
            self._cell.inbound,
            self._start_clock,
            lambda: self._used() >= self._rules.budget_seconds,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._end_training()
        if self._spare is not None:
            self._spare.end()

    def job(self, role: Role) -> Job:
        rules = self._rules
        return Job(
            role=role,
            source=self._source,
            filename=self._referee._filename,
            vocab_size=self._corpus.vocab_size,
            sequence_len=rules.sequence_len,
            scale=rules.scale,
            device=rules.device,
            threads=rules.threads,
            seed=self._seed,
            budget_seconds=rules.budget_seconds,
            clock=rules.clock,
            token_bytes_each=self._corpus.tokens(Split.TRAIN).dtype.itemsize,
        )

    def scorer(self) -> Cell:
        """The cell that will score: started while the trainee still trained, where that's free."""
        cell, self._spare = self._spare, None
        return cell or self._referee._start(self._log, self._gpu)

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
            },
        )
        try:
            write_frame(self._cell.inbound, Kind.JOB, msgspec.json.encode(self.job(Role.TRAIN)))
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

    def _step(self, reader: FrameReader) -> bool:
        """Waits a tick for a message and looks after the limits; whether training is over."""
        frame = reader.poll(TICK_SECONDS)
        self._check_limits(reader)
        if frame is None:
            return False
        if frame.kind is Kind.ORDER:
            self._take_order(*struct.unpack("<I", frame.body))
        elif frame.kind is Kind.REPORT:
            self._take_report(*struct.unpack("<Id", frame.body))
        elif frame.kind is Kind.WEIGHTS:
            self._weights, self._used_at_weights = frame.body, self._used()
        elif frame.kind is Kind.STATS:
            self.tally.stats = _believable(frame.body)
        elif frame.kind is Kind.FAULT:
            raise fault(frame)
        return frame.kind is Kind.DONE

    def _take_order(self, rows: int) -> None:
        size = rows * (self._rules.sequence_len + 1) * 4
        if rows < 1 or size > BATCH_BYTES:
            raise EndedError(
                Status.CRASHED,
                f"it asked for a batch of {rows:,} rows; from 1 to "
                f"{BATCH_BYTES // (4 * (self._rules.sequence_len + 1)):,} are served",
            )
        self._feeder.order(rows)

    def _take_report(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise EndedError(Status.CRASHED, f"nan: the training loss is {loss} at step {step}")
        point = CurvePoint(round(self._used(), 3), step, loss)
        curve = self.tally.curve
        if not curve or point.elapsed_seconds - curve[-1].elapsed_seconds > (
            self._rules.budget_seconds / 250
        ):
            curve.append(point)
            self.watch.progress(point)

    def _start_clock(self) -> None:
        """Called by the feeder right before the first batch goes out."""
        self._began_wall = time.monotonic()
        self.tally.startup_seconds = self._began_wall - self._started
        self._began = self._clock()

    def _clock(self) -> float:
        if self._rules.clock is Clock.CPU:
            return self._cell.meter.cpu_seconds()
        return time.monotonic()

    def _used(self) -> float:
        return 0.0 if self._began is None else self._clock() - self._began

    def _check_limits(self, reader: FrameReader) -> None:
        check_memory(self._cell, self._rules.memory_mb)
        check_stop(self.watch)
        now, rules = time.monotonic(), self._rules
        if self._began is None:
            if now - self._started > rules.startup_seconds:
                raise EndedError(
                    Status.TIMED_OUT, f"no batch was asked for within {rules.startup_seconds:.0f} s"
                )
            return
        if self._spare is None and rules.clock is Clock.WALL:
            # From this thread: a cell dies with the thread that started it.
            self._spare = self._referee._start(self._log, self._gpu)
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
        megabytes = reader.expected_bytes / 2**20 if arriving else 0.0
        return self._overrun_allowed() + TRANSFER_SECONDS + megabytes / TRANSFER_MB_PER_SECOND

    def _judge_overrun(self) -> bytearray:
        """Refuses weights that came later than their transfer explains."""
        tally, budget = self.tally, self._rules.budget_seconds
        if self._weights is None:
            raise EndedError(Status.CRASHED, "it ended without handing in weights")
        if not self._feeder.batches_served:
            raise EndedError(Status.CRASHED, "it handed in weights without asking for a batch")
        tally.weights_bytes = len(self._weights)
        transfer = TRANSFER_SECONDS + len(self._weights) / 2**20 / TRANSFER_MB_PER_SECOND
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
        tally = self.tally
        if self._began is not None and not tally.training_seconds:
            tally.training_seconds = max(0.0, self._used())
        self._cell.meter.survey(now=math.inf)
        self._cell.end()
        self._feeder.stop(GOODBYE_SECONDS)
        tally.peak_memory_mb = self._cell.meter.peak_memory_mb
        tally.batches, tally.rows = self._feeder.batches_served, self._feeder.rows_served


def _believable(body: bytearray) -> CellStats:
    """A trainee's words about itself, or none of them if they make no sense."""
    try:
        stats = msgspec.json.decode(bytes(body), type=CellStats)
    except msgspec.MsgspecError:
        return CellStats()
    numbers = (stats.parameters, stats.device_memory_mb, stats.data_wait_seconds)
    return stats if all(0 <= number < 1e15 for number in numbers) else CellStats()


def check_memory(cell: Cell, memory_mb: int) -> None:
    """Ends a trial whose processes hold more memory, or are more, than is allowed."""
    cell.meter.survey()
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


def check_stop(watch: Watch) -> None:
    if watch.should_stop():
        raise ArenaError("the trial was stopped")


def fault(frame: Frame) -> EndedError:
    """What the cell's harness says of an exception of the candidate's code."""
    try:
        said = msgspec.json.decode(bytes(frame.body), type=Fault)
    except msgspec.MsgspecError:
        return EndedError(Status.CRASHED, "it broke the protocol: its last words make no sense")
    memory = said.kind is FaultKind.OUT_OF_MEMORY
    return EndedError(Status.OUT_OF_MEMORY if memory else Status.CRASHED, said.text)


def gone(cell: Cell) -> EndedError:
    """Why a cell's pipe closed without a word, by the way in which its process ended."""
    try:
        code = cell.process.wait(1.0)
    except Exception:
        return EndedError(Status.CRASHED, "it closed its pipe to the referee")
    if code == -9:
        return EndedError(Status.OUT_OF_MEMORY, "it was killed, most likely for want of memory")
    words = [line for line in clean_text(cell.log.tail()).splitlines() if line.strip()]
    last = f": {words[-1].strip()}" if words else ""
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    return EndedError(Status.CRASHED, f"it ended with {how} before it was done{last}")
