"""The referee: trains a variant in one cell, has its weights examined in others, and says what it
saw.

It owns what a candidate could cheat with: the clock (training text exists only in the stream that
it serves, and the stream ends with the budget), the seed, and the number. It reads bytes from the
cells and believes none of them further than it must.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from evo.arena.compiled import Kept
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
        self._filename, self._gpu = filename, gpu
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
        compiled: Kept | None = None,
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
            compiled: What compilers left in a trial of a trusted text, if that is shared.
            watch: Who looks on; may stop the trial.

        Returns:
            A measurement, whatever the variant does.

        Raises:
            ArenaError: The trial couldn't be run, through no fault of the variant.
        """
        began, tally, watch = time.monotonic(), Tally(), watch or Nobody()
        job, verdicts = self._job(Role.TRAIN, source, seed), dict[Split, Verdict]()
        self._sandbox.settle(self._gpu)
        try:
            weights = self._train(job, log, compiled, watch, tally)
            with tally.scoring():
                self._score(job, weights, split, deep, watch, verdicts)
            status, cause = _judge(verdicts.values())
        except EndedError as ended:
            status, cause = ended.status, ended.cause
        finally:
            self._cells.close(but=self._ahead)
        scores = {one: verdict.audited for one, verdict in verdicts.items()}
        if status is not Status.SCORED:
            scores.clear()
        return Measurement(
            status=status,
            score=scores.get(split),
            cause=cause,
            verdict=verdicts.get(split),
            holdout_score=scores.get(Split.HOLDOUT) if deep and split is Split.SEARCH else None,
            resources=tally.resources(self._rules, time.monotonic() - began),
            curve=tuple(tally.curve),
            device=self._rules.device,
            split=str(split),
            data_sha=self._corpus.sha,
        )

    def _train(
        self, job: Job, log: Path | None, compiled: Kept | None, watch: Watch, tally: Tally
    ) -> bytearray:
        """The weights that it hands in."""
        known = compiled.read() if compiled else b""
        makes = compiled is not None and compiled.trusted and not known
        training = Training(
            msgspec.structs.replace(job, hands_in_compiled=makes),
            self._rules,
            self._corpus,
            self._cells.take(log),
            lambda: self._cells.prepare(SCORERS + self._ahead),
            watch,
            tally,
            known,
        )
        with training:
            weights = training.run()
        if compiled and training.left:
            compiled.write(training.left)
        return weights

    def _score(
        self,
        job: Job,
        weights: bytearray,
        split: Split,
        deep: bool,
        watch: Watch,
        verdicts: dict[Split, Verdict],
    ) -> None:
        """Adds a verdict for each split that is scored."""
        examine, cells = self._examiner.examine, self._cells
        cells.prepare(SCORERS)
        passes = DEEP_PASSES if deep else EVERYDAY_PASSES
        verdicts[split] = examine(cells, job, weights, split, passes, watch)
        if deep and verdicts[split].honest and split is Split.SEARCH:
            verdicts[Split.HOLDOUT] = examine(cells, job, weights, Split.HOLDOUT, 1, watch)

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


def _judge(verdicts: Iterable[Verdict]) -> tuple[Status, str]:
    for verdict in verdicts:
        if not verdict.honest:
            return Status.DISHONEST, verdict.reason
    return Status.SCORED, ""
