"""The examination of a trained model: what it claims of a validation split, and a blind audit.

Scorer A sees the whole split and claims the nats of every token. When A is dead, positions are
drawn, and scorer B, a fresh process, is asked for its logits there without seeing what follows.
Both answer the same call with the same shapes. Nothing that either prints is kept: it has seen
validation text. See `audit` for what the answers prove.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec
import numpy as np
from numpy.typing import NDArray

from evo.arena import audit
from evo.arena.audit import Cuts, Finding, Judgement, Tokens
from evo.arena.job import NONSENSE, Fault, FaultKind, Job, Role
from evo.arena.reference import Reference
from evo.arena.rules import TICK_SECONDS, EndedError, Rules, Watch, check_memory, check_stop
from evo.arena.scoring import bits_per_byte, rows_of
from evo.arena.waiting import Cells
from evo.arena.wire import Frame, FrameReader, Kind, Part, PipeClosedError, WireError, offer_frame
from evo.corpus.corpus import Corpus, Split
from evo.nouns import Clock, Status, Verdict
from evo.sandbox.sandbox import Cell

EVERYDAY_PASSES = 1
"""Passes of B for an everyday trial; each costs as much as A."""
DEEP_PASSES = 4
"""For a variant that may become the champion."""
FIRST_ANSWER_SECONDS = {Clock.CPU: 5.0, Clock.WALL: 60.0}
"""Of the budget's clock, from when a scorer has loaded torch to its first answer: on a GPU it may
have to compile. Who trains on can do it only here: later answers must agree with it."""
FIRST_ANSWER_SHARE = 0.1
"""Of the budget, on top of that."""
MOST_NATS = 100.0
"""Of a mean claim; guessing evenly costs some 10. Far beyond it single precision is off by more
than an honest model may be, and who is lost would be called a liar."""
SELF_NATS = 0.01
"""By so much A's own logits may differ from what A claims."""

Answers = tuple[NDArray[np.float32], NDArray[np.float64]]
"""Nats of every target as the scorer claims them, of shape (rows, T), and the referee's own nats
of one target a row from the scorer's logits, of shape (rows,)."""


class Examiner:
    """Examines trained models against one corpus; keeps what helps it to look in the right places.

    Args:
        corpus: The prepared data.
        rules: Shapes and caps.
        entropy: Makes a generator that no candidate can foresee.
    """

    def __init__(
        self,
        corpus: Corpus,
        rules: Rules,
        entropy: Callable[[], np.random.Generator] = np.random.default_rng,
    ) -> None:
        self._corpus, self._rules, self._entropy = corpus, rules, entropy
        self._rows: dict[Split, Tokens] = {}
        self._references: dict[Split, Reference] = {}

    def rows(self, split: Split) -> Tokens:
        """The sequences of a split, of shape (rows, T + 1)."""
        if split not in self._rows:
            self._rows[split] = rows_of(
                self._corpus, split, self._rules.sequence_len, self._rules.score_tokens
            )
        return self._rows[split]

    def reference(self, split: Split) -> Reference:
        """What is known of each target of a split."""
        if split not in self._references:
            self._references[split] = Reference(
                self.rows(split), self._corpus.tokens(Split.TRAIN), self._corpus.vocab_size
            )
        return self._references[split]

    def examine(
        self, cells: Cells, job: Job, weights: bytearray, split: Split, passes: int, watch: Watch
    ) -> Verdict:
        """Scores a model on a split and audits the score.

        Args:
            cells: Where its scorers come from.
            job: What the trainee was told.
            weights: What it handed in.
            split: Which text is scored.
            passes: How often a fresh B is asked.
            watch: May stop the trial.

        Raises:
            EndedError: The model can't be scored, or its answers can't be relied on.
        """
        rows, chance = self.rows(split), self._entropy()
        ask = Questions(self._rules, job, weights, self._corpus.vocab_size, watch)
        claims = self._claims(cells, ask, rows, chance)
        reference = self.reference(split)
        weight = audit.suspicion(claims, reference.nats)
        found: list[tuple[Cuts, NDArray[np.float64]]] = []
        for _ in range(passes):
            # A is dead by now, and so is the B before: what is drawn here, none of them can tell.
            generator = self._entropy()
            cuts = audit.draw(weight, _whole_batches(len(rows), self._rules), generator)
            blinded = audit.blind(cuts, rows, self._corpus.tokens(Split.TRAIN), generator)
            targets = rows[np.maximum(cuts.rows, 0), cuts.positions + 1]
            _, answers = ask.all_of(cells.take(), blinded, cuts.positions, targets)
            found.append((cuts, answers))
        cuts, answers = audit.join(found)
        finding = audit.judge(cuts, claims, answers)
        return self._verdict(finding, claims, rows, reference)

    def _claims(
        self, cells: Cells, ask: Questions, rows: Tokens, chance: np.random.Generator
    ) -> NDArray[np.float32]:
        """A's nats of every target, of shape (rows, T)."""
        size = _whole_batches(len(rows), self._rules)
        shown = rows[np.arange(size) % len(rows)]
        positions = chance.integers(0, rows.shape[1] - 1, size)
        everything = np.arange(size)
        claims, own = ask.all_of(cells.take(), shown, positions, shown[everything, positions + 1])
        if (mean := claims.mean(dtype=np.float64)) > MOST_NATS:
            raise EndedError(
                Status.CRASHED, f"it diverged: its predictions cost {mean:,.0f} nats a token"
            )
        if np.abs(own - claims[everything, positions]).max() > SELF_NATS:
            raise EndedError(Status.DISHONEST, "its claims aren't what its own logits say")
        if claims.min() < -audit.OUTLIER_NATS:
            raise EndedError(Status.DISHONEST, "it claims tokens that are likelier than certain")
        return claims[: len(rows)]

    def _verdict(
        self, finding: Finding, claims: NDArray[np.float32], rows: Tokens, reference: Reference
    ) -> Verdict:
        honest = finding.judgement is Judgement.HONEST
        if finding.judgement is Judgement.UNSTEADY:
            raise EndedError(Status.CRASHED, f"it can't be scored: {finding.reason}")
        corrected = claims + np.float64(finding.gap if honest else 0.0)
        verdict = Verdict(
            honest=honest,
            reason=finding.reason,
            claimed=bits_per_byte(claims, rows[:, 1:], self._corpus.token_bytes),
            audited=bits_per_byte(corrected, rows[:, 1:], self._corpus.token_bytes),
            gap_nats=finding.gap,
            gap_std_nats=finding.gap_std,
            worst_nats=finding.worst,
            positions=finding.audited,
        )
        if honest:
            reference.learn(claims)
        return verdict


class Questions:
    """The one call that scorers answer.

    Args:
        rules: Shapes and caps.
        job: What the trainee was told.
        weights: What it handed in.
        vocab_size: Number of token ids.
        watch: May stop the trial.
    """

    def __init__(
        self, rules: Rules, job: Job, weights: bytearray, vocab_size: int, watch: Watch
    ) -> None:
        self._rules, self._weights, self._watch = rules, weights, watch
        self._job = msgspec.json.encode(msgspec.structs.replace(job, role=Role.SCORE))
        self._vocab_size = vocab_size

    def all_of(
        self, cell: Cell, tokens: Tokens, positions: NDArray[np.int64], targets: Tokens
    ) -> Answers:
        """Asks a fresh scorer about whole batches of sequences, and ends it.

        Args:
            cell: The scorer.
            tokens: Shape (n, T + 1), n a multiple of the batch.
            positions: Shape (n,): where its logits are wanted.
            targets: Shape (n,): the true tokens behind them.

        Raises:
            EndedError: It fails, takes too long, or answers what isn't a number.
        """
        nats, audited = [], []
        try:
            for start, (claims, logits) in self._batches(cell, tokens, positions):
                if not (np.isfinite(claims).all() and np.isfinite(logits).all()):
                    raise EndedError(
                        Status.CRASHED, "nan: the trained model's predictions aren't finite"
                    )
                nats.append(claims)
                audited.append(audit.log_loss(logits, targets[start : start + len(logits)]))
        except PipeClosedError as error:
            raise _gone(cell) from error
        except WireError as error:
            raise EndedError(Status.CRASHED, "scoring broke the protocol") from error
        finally:
            cell.end(forget=True)
        return np.concatenate(nats), np.concatenate(audited)

    def _batches(
        self, cell: Cell, tokens: Tokens, positions: NDArray[np.int64]
    ) -> Iterator[tuple[int, tuple[NDArray[np.float32], NDArray[np.float32]]]]:
        rows, length = self._rules.score_rows, self._rules.sequence_len
        size = rows * (length + self._vocab_size) * 4
        deadline = time.monotonic() + self._rules.scoring_seconds
        kinds = {Kind.READY: 0, Kind.ANSWER: size, Kind.FAULT: 1 << 16}
        reader = FrameReader(cell.outbound, kinds)
        self._tell(cell, deadline, Kind.JOB, self._job)
        if self._await(reader, cell, deadline).kind is not Kind.READY:
            raise EndedError(Status.CRASHED, "scoring broke the protocol")
        began = self._used(cell)  # loading torch isn't the candidate's affair
        self._tell(cell, deadline, Kind.WEIGHTS, self._weights)
        for start in range(0, len(tokens), rows):
            places = positions[start : start + rows].astype("<u4")
            asked = np.ascontiguousarray(tokens[start : start + rows])
            self._tell(cell, deadline, Kind.ASK, places.tobytes(), asked.data)
            body = self._await(reader, cell, deadline).body
            if len(body) != size:
                raise EndedError(Status.CRASHED, "scoring answered too few numbers")
            if start == 0:
                self._check_first_answer(cell, began)
            numbers = np.frombuffer(body, dtype="<f4")
            claims, logits = numbers[: rows * length], numbers[rows * length :]
            yield start, (claims.reshape(rows, length), logits.reshape(rows, self._vocab_size))
        with suppress(PipeClosedError):  # it has answered all: how it ends is its own affair
            self._tell(cell, deadline, Kind.END)

    def _tell(self, cell: Cell, deadline: float, kind: Kind, *parts: Part) -> None:
        for _ in offer_frame(cell.inbound, TICK_SECONDS, kind, *parts):
            self._look_after(cell, deadline)

    def _await(self, reader: FrameReader, cell: Cell, deadline: float) -> Frame:
        while True:
            frame = reader.poll(TICK_SECONDS)
            self._look_after(cell, deadline)
            if frame is not None and frame.kind is Kind.FAULT:
                raise _fault(frame)
            if frame is not None:
                return frame

    def _check_first_answer(self, cell: Cell, began: float) -> None:
        rules, used = self._rules, self._used(cell) - began
        limit = FIRST_ANSWER_SECONDS[rules.clock] + FIRST_ANSWER_SHARE * rules.budget_seconds
        if used > limit:
            raise EndedError(
                Status.TIMED_OUT,
                f"its first answer took {used:.0f} s when it was scored; {limit:.0f} are allowed "
                "for building the model, loading the weights and one batch",
            )

    def _used(self, cell: Cell) -> float:
        if self._rules.clock is not Clock.CPU:
            return time.monotonic()
        cell.meter.survey(at_once=True)
        return cell.meter.most_cpu_seconds()

    def _look_after(self, cell: Cell, deadline: float) -> None:
        check_memory(cell, self._rules.memory_mb)
        check_stop(self._watch)
        if time.monotonic() > deadline:
            limit = self._rules.scoring_seconds
            raise EndedError(Status.TIMED_OUT, f"scoring took more than {limit:.0f} s")


_FAULTS = {
    FaultKind.OUT_OF_MEMORY: (Status.OUT_OF_MEMORY, "it ran out of memory while it was scored"),
    FaultKind.REFUSED: (
        Status.CRASHED,
        "it can't be scored: its weights don't fit what build_model builds, or its logits have "
        "another shape than (B, T, V)",
    ),
    FaultKind.CRASHED: (
        Status.CRASHED,
        "its model raised an exception while it was scored; what it printed there isn't kept",
    ),
}


def _fault(frame: Frame) -> EndedError:
    """What went wrong, by its kind alone: the words of a scorer may hold validation text."""
    try:
        kind = msgspec.json.decode(bytes(frame.body), type=Fault).kind
    except NONSENSE:
        return EndedError(Status.CRASHED, "scoring broke the protocol")
    return EndedError(*_FAULTS[kind])


def _gone(cell: Cell) -> EndedError:
    code = cell.process.poll()
    if code == -9:
        return EndedError(*_FAULTS[FaultKind.OUT_OF_MEMORY])
    return EndedError(Status.CRASHED, "it ended while it was scored, without an answer")


def _whole_batches(rows: int, rules: Rules) -> int:
    return -(-rows // rules.score_rows) * rules.score_rows
