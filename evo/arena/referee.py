"""The referee: trains a variant in one cell, scores its weights in another, and says what it saw.

It owns what a candidate could cheat with: the clock (training text exists only in the stream that
it serves, and the stream ends with the budget), the seed, and the number. It reads bytes from the
cells and believes none of them further than it must.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evo.arena.corpus import Corpus, Split
from evo.arena.job import Job, Role
from evo.arena.preflight import SCALE, SEQUENCE_LEN, VOCAB_SIZE
from evo.arena.rules import (
    TICK_SECONDS,
    EndedError,
    Nobody,
    Rules,
    Watch,
    check_memory,
    check_stop,
    fault,
    gone,
)
from evo.arena.sandbox import Cell, Limits, Sandbox
from evo.arena.scoring import batches_of, bits_per_byte, rows_of
from evo.arena.training import Tally, Training
from evo.arena.wire import Frame, FrameReader, Kind, PipeClosedError, WireError, write_frame
from evo.nouns import Measurement, Status

Tokens = NDArray[np.integer[Any]]
COMMAND = ("python", "-m", "evo.arena.cell")


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
        began, tally = time.monotonic(), Tally()
        watch = watch or Nobody()
        status, score, cause = Status.SCORED, None, ""
        job = self._job(Role.TRAIN, source, seed)
        training = Training(
            job, self._rules, self._corpus, lambda: self._start(log, gpu), watch, tally
        )
        try:
            with training:
                weights = training.run()
                scorer = training.scorer()
                score = self._score(scorer, job, weights, split, watch, tally)
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
        job = msgspec.structs.replace(
            self._job(Role.CHECK, source, 0),
            vocab_size=VOCAB_SIZE,
            sequence_len=SEQUENCE_LEN,
            scale=SCALE,
            device="cpu",
            threads=1,
        )
        try:
            reader = FrameReader(cell.outbound, {Kind.FAULT: 1 << 16, Kind.DONE: 0})
            write_frame(cell.inbound, Kind.JOB, msgspec.json.encode(job))
            deadline = time.monotonic() + rules.startup_seconds
            while time.monotonic() < deadline:
                frame = reader.poll(TICK_SECONDS)
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

    def _job(self, role: Role, source: str, seed: int) -> Job:
        rules = self._rules
        return Job(
            role=role,
            source=source,
            filename=self._filename,
            vocab_size=self._corpus.vocab_size,
            sequence_len=rules.sequence_len,
            scale=rules.scale,
            device=rules.device,
            threads=rules.threads,
            seed=seed,
            budget_seconds=rules.budget_seconds,
            clock=rules.clock,
            token_bytes_each=self._corpus.tokens(Split.TRAIN).dtype.itemsize,
        )

    def _score(
        self, cell: Cell, job: Job, weights: bytearray, split: Split, watch: Watch, tally: Tally
    ) -> float:
        began, rules = time.monotonic(), self._rules
        rows = rows_of(self._corpus, split, rules.sequence_len, rules.score_tokens)
        try:
            nll = self._collect_nll(cell, job, weights, rows, watch)
        finally:
            cell.end()
            tally.scoring_seconds = time.monotonic() - began
        if not np.isfinite(nll).all():
            raise EndedError(Status.CRASHED, "nan: the trained model's predictions aren't finite")
        return bits_per_byte(nll, rows[:, 1:], self._corpus.token_bytes)

    def _collect_nll(
        self, cell: Cell, job: Job, weights: bytearray, rows: Tokens, watch: Watch
    ) -> NDArray[np.float32]:
        """Nats of every target, of shape (rows, sequence_len), as the scorer claims them."""
        rules, deadline = self._rules, time.monotonic() + self._rules.scoring_seconds
        answers = []
        reader = FrameReader(
            cell.outbound,
            {Kind.NLL: rules.score_rows * rules.sequence_len * 4, Kind.FAULT: 1 << 16},
        )
        try:
            write_frame(
                cell.inbound,
                Kind.JOB,
                msgspec.json.encode(msgspec.structs.replace(job, role=Role.SCORE)),
            )
            write_frame(cell.inbound, Kind.WEIGHTS, weights)
            for batch in batches_of(rows, rules.score_rows):
                write_frame(cell.inbound, Kind.BATCH, batch.data)
                frame = self._await_nll(reader, cell, watch, deadline)
                nll = np.frombuffer(frame.body, dtype=np.float32)
                if nll.size != batch.shape[0] * rules.sequence_len:
                    raise EndedError(Status.CRASHED, "scoring answered too few numbers")
                answers.append(nll.reshape(len(batch), -1))
            write_frame(cell.inbound, Kind.END)
        except PipeClosedError as error:
            raise gone(cell) from error
        except WireError as error:
            raise EndedError(Status.CRASHED, f"scoring broke the protocol: {error}") from error
        return np.concatenate(answers)

    def _await_nll(self, reader: FrameReader, cell: Cell, watch: Watch, deadline: float) -> Frame:
        while time.monotonic() < deadline:
            frame = reader.poll(TICK_SECONDS)
            check_memory(cell, self._rules.memory_mb)
            check_stop(watch)
            if frame is not None and frame.kind is Kind.FAULT:
                raise fault(frame)
            if frame is not None:
                return frame
        limit = self._rules.scoring_seconds
        raise EndedError(Status.TIMED_OUT, f"scoring took more than {limit:.0f} s")
