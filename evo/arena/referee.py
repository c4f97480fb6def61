"""The referee: trains a variant in one cell, has its weights examined in others, and says what it
saw.

It owns what a candidate could cheat with: the clock (training text exists only in the stream that
it serves, and the stream ends with the budget), the seed, and the number. It reads bytes from the
cells and believes none of them further than it must.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from evo.arena.examination import DEEP_PASSES, EVERYDAY_PASSES, Examiner
from evo.arena.job import Job, Role
from evo.arena.preflight import SCALE, SEQUENCE_LEN, VOCAB_SIZE
from evo.arena.rules import (
    TICK_SECONDS,
    EndedError,
    Nobody,
    Rules,
    Watch,
    check_memory,
    fault,
    gone,
)
from evo.arena.training import Tally, Training
from evo.arena.waiting import Cells
from evo.arena.wire import FrameReader, Kind, PipeClosedError, WireError, write_frame
from evo.corpus.corpus import Corpus, Split
from evo.nouns import Clock, Measurement, Status, Verdict
from evo.sandbox.sandbox import Cell, Limits, Sandbox

COMMAND = ("python", "-m", "evo.arena.cell")
SCORERS = 2
"""Of an everyday trial."""


class Referee:
    """Measures variants of an arena task, one at a time.

    Args:
        corpus: The prepared data.
        sandbox: How cells are started.
        rules: Budget, clock, shapes and caps.
        filename: What the variant's text is called in tracebacks.
        gpu: Index of the GPU, for a CUDA device.
        in_series: Whether one trial follows another: then the next one's process is started while
            one trains, where that takes nothing from it.
    """

    def __init__(
        self,
        corpus: Corpus,
        sandbox: Sandbox,
        rules: Rules,
        filename: str = "train.py",
        *,
        gpu: str = "",
        in_series: bool = False,
    ) -> None:
        self._corpus, self._sandbox, self._rules = corpus, sandbox, rules
        self._filename = filename
        self._examiner = Examiner(corpus, rules)
        self._cells = Cells(lambda: self._start(gpu))
        self._ahead = int(in_series and rules.clock is Clock.WALL)

    def measure(
        self,
        source: str,
        seed: int,
        *,
        split: Split = Split.SEARCH,
        deep: bool = False,
        log: Path | None = None,
        compiled: Path | None = None,
        trusted: bool = False,
        watch: Watch | None = None,
    ) -> Measurement:
        """Trains and scores one variant once.

        Args:
            source: The variant's text.
            seed: Seeds its initialisation and the order of the data.
            split: The validation split that is scored.
            deep: Whether the audit takes many more positions, and the same weights are scored on
                the holdout split too: for a variant that may become the champion.
            log: Where what it prints is kept.
            compiled: File of what compilers left in a trial of a trusted text, if there was one.
            trusted: Whether a person wrote this text: then that file is made, if it isn't there.
            watch: Who looks on; may stop the trial.

        Returns:
            A measurement, whatever the variant does.

        Raises:
            ArenaError: The trial couldn't be run, through no fault of the variant.
        """
        began, tally = time.monotonic(), Tally()
        watch = watch or Nobody()
        verdict: Verdict | None = None
        confirmed: Verdict | None = None
        known = _read(compiled)
        job = msgspec.structs.replace(
            self._job(Role.TRAIN, source, seed),
            hands_in_compiled=trusted and compiled is not None and not known,
        )
        cells = self._cells
        training = Training(
            job,
            self._rules,
            self._corpus,
            cells.take(log),
            lambda: cells.prepare(SCORERS + self._ahead),
            watch,
            tally,
            known,
        )
        try:
            with training:
                weights = training.run()
            examine = self._examiner.examine
            passes = DEEP_PASSES if deep else EVERYDAY_PASSES
            with tally.scoring():
                cells.prepare(SCORERS)
                verdict = examine(cells, job, weights, split, passes, watch)
                if deep and verdict.honest and split is Split.SEARCH:
                    confirmed = examine(cells, job, weights, Split.HOLDOUT, 1, watch)
            status, cause = _judge(verdict, confirmed)
            if compiled is not None and training.left:
                _write(compiled, training.left)
        except EndedError as ended:
            status, cause = ended.status, ended.cause
        finally:
            cells.close(but=self._ahead)
        scored = status is Status.SCORED
        return Measurement(
            status=status,
            score=verdict.audited if scored and verdict else None,
            cause=cause,
            verdict=verdict,
            holdout_score=confirmed.audited if scored and confirmed else None,
            resources=tally.resources(self._rules, time.monotonic() - began),
            curve=tuple(tally.curve),
            device=self._rules.device,
            split=str(split),
            data_sha=self._corpus.sha,
        )

    def check(self, source: str, *, log: Path | None = None) -> str:
        """A dry run with tiny shapes on the CPU; why the variant would fail, or nothing."""
        rules, cell = self._rules, self._start("")
        if log is not None:
            cell.log.keep(log)
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

    def close(self) -> None:
        """Ends the cells that wait for a next trial."""
        self._cells.close()

    def _start(self, gpu: str) -> Cell:
        return self._sandbox.start(
            COMMAND,
            limits=Limits(memory_mb=self._rules.memory_mb),
            threads=self._rules.threads,
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


def _read(file: Path | None) -> bytes:
    with suppress(OSError):
        return b"" if file is None else file.read_bytes()
    return b""


def _write(file: Path, content: bytes | bytearray) -> None:
    """Whole or not at all; a full disk costs later trials some seconds."""
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(file)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _judge(*verdicts: Verdict | None) -> tuple[Status, str]:
    for verdict in verdicts:
        if verdict is not None and not verdict.honest:
            return Status.DISHONEST, verdict.reason
    return Status.SCORED, ""
