"""The casebook: what was measured and tried, kept so that operators' questions are quick to answer
while the engine goes on writing it.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from evo.nouns import Direction, Measurement, Outcome, Proposal, Trial, Variant
from evo.operators.casebook import Attempt, Case, Failure
from evo.operators.screening import fingerprint
from evo.search.ledger import is_caught
from evo.text import clean_text

BROKEN = "broken"
"""Folder beside the trials."""
KEPT_POINTS = 32
"""Of the curve of each trial."""
KEPT_FAILURES = 64
"""Texts of proposals that failed in preflight; git has none of them."""
FARTHEST = 4
"""Steps in the family tree to whom counts as a relative."""
LOG_BYTES = 6_000


class EngineCasebook:
    """What operators may read of measurements and history; safe to read from several threads.

    Args:
        direction: Which way the metric improves.
        trials: Folder of the trials' logs.
        known: Variants by fingerprint; kept by the engine.
        source: Text of a variant.
        hints: What people want the operators to know.
    """

    def __init__(
        self,
        direction: Direction,
        trials: Path,
        known: Mapping[str, int],
        source: Callable[[int], str],
        hints: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._direction, self._folder, self._known = direction, trials, known
        self._source, self._hints = source, hints
        self._variants: dict[int, Variant] = {}
        self._children: dict[int, list[int]] = {}
        self._trials: dict[int, list[Trial]] = {}
        self._caught: dict[int, Measurement] = {}  # who has no scores any more, and what says so
        self._proposals: dict[int, Proposal] = {}
        self._asked_of: dict[int, list[int]] = {}
        self._became: dict[int, int] = {}
        self._squares, self._freedom = 0.0, 0
        self._lock = threading.RLock()

    def tell(self, record: Proposal | Variant | Trial) -> None:
        """Takes notice of what happened, in the order in which the search is told."""
        with self._lock:
            if isinstance(record, Proposal):
                self._add_proposal(record)
            elif isinstance(record, Variant):
                self._variants[record.id] = record
                self._became[record.proposal] = record.id
                for parent in record.parents:
                    self._children.setdefault(parent, []).append(record.id)
            else:
                self._add_trial(record)

    # What operators ask

    def case(self, variant: int) -> Case:
        with self._lock:
            return self._case(variant)

    def lineage(self, variant: int) -> list[Case]:
        with self._lock:
            line = [variant]
            while parents := self._variants[line[-1]].parents:
                line.append(parents[0])
            return [self._case(one) for one in reversed(line)]

    def attempts(self, variant: int, most: int) -> list[Attempt]:
        with self._lock:
            own = self._ancestors(variant) | {variant}
            found: list[Attempt] = []
            for distance, relatives in enumerate(self._family(variant)):
                proposals = [one for kin in relatives for one in self._asked_of.get(kin, ())]
                told = [one for one in proposals if self._became.get(one) not in own]
                latest = heapq.nlargest(most - len(found), told)
                found += [self._attempt(number, distance) for number in latest]
                if len(found) >= most:
                    break
            return found

    def inspirations(self, variant: int, most: int) -> list[Case]:
        with self._lock:
            kin = self._ancestors(variant) | self._descendants(variant) | {variant}
            others = [
                one for one in self._variants if one not in kin and self._mean(one) is not None
            ]
            return [self._case(one) for one in sorted(others, key=self._loss)[:most]]

    def failure(self, proposal: int) -> Failure:
        with self._lock:
            asked, variant = self._proposals[proposal], self._became.get(proposal)
            if variant is None:
                source, cause, log = self._kept(proposal), asked.cause, ""
            else:
                last = self._trials[variant][-1]
                assert last.measurement is not None
                if last.measurement.score is not None:
                    raise KeyError(proposal)
                source = self._source(variant)
                cause, log = last.measurement.cause, self._log(last.id)
        return Failure(proposal, asked.parents, asked.title, asked.rationale, source, cause, log)

    def twin(self, source: str) -> Case | None:
        variant = self._known.get(fingerprint(source))
        with self._lock:
            return self._case(variant) if variant in self._variants else None

    def hints(self) -> Sequence[str]:
        return self._hints()

    # What is known

    def _add_proposal(self, proposal: Proposal) -> None:
        if proposal.outcome is Outcome.PREFLIGHT_FAILED and proposal.source is not None:
            self._keep(proposal.id, proposal.source)
        self._proposals[proposal.id] = replace(proposal, source=None)
        if proposal.parents:
            self._asked_of.setdefault(proposal.parents[0], []).append(proposal.id)

    def _add_trial(self, trial: Trial) -> None:
        before = self._scatter(trial.variant)
        measurement = trial.measurement
        if measurement is not None:
            curve = measurement.curve[:: len(measurement.curve) // KEPT_POINTS + 1]
            curve += measurement.curve[-1:]
            measurement = replace(measurement, curve=curve)
            trial = replace(trial, measurement=measurement)
            if is_caught(trial):
                self._caught[trial.variant] = measurement
        self._trials.setdefault(trial.variant, []).append(trial)
        squares, freedom = self._scatter(trial.variant)
        self._squares += squares - before[0]
        self._freedom += freedom - before[1]

    def _case(self, number: int) -> Case:
        variant, trials = self._variants[number], self._trials.get(number, [])
        scores = self._scores(number)
        last: Measurement | None = None
        if scores:
            last = next(one.measurement for one in reversed(trials) if one.score is not None)
        latest = self._caught.get(number) or (trials[-1].measurement if trials else None)
        noise = math.sqrt(max(self._squares, 0.0) / self._freedom) if self._freedom else None
        std = None if noise is None or not scores else noise / math.sqrt(len(scores))
        return Case(
            variant=number,
            parents=variant.parents,
            operator=variant.operator,
            title=variant.title,
            rationale=variant.rationale,
            diff=variant.diff,
            score=self._mean(number),
            std=std,
            trials=len(trials),
            gain=self._gain(number),
            status=latest.status if latest else None,
            cause=latest.cause if latest else "",
            last=last,
        )

    def _attempt(self, number: int, distance: int) -> Attempt:
        proposal, variant = self._proposals[number], self._became.get(number)
        return Attempt(
            proposal=number,
            parent=proposal.parents[0],
            operator=proposal.operator,
            title=proposal.title,
            outcome=proposal.outcome,
            cause=proposal.cause,
            case=None if variant is None else self._case(variant),
            distance=distance,
        )

    def _scores(self, variant: int) -> list[float]:
        if variant in self._caught:
            return []
        return [one.score for one in self._trials.get(variant, ()) if one.score is not None]

    def _mean(self, variant: int) -> float | None:
        scores = self._scores(variant)
        return sum(scores) / len(scores) if scores else None

    def _loss(self, variant: int) -> float:
        mean = self._mean(variant)
        return math.inf if mean is None else self._direction.loss(mean)

    def _gain(self, variant: int) -> float | None:
        parents = self._variants[variant].parents
        if not parents or self._mean(variant) is None or self._mean(parents[0]) is None:
            return None
        return self._loss(parents[0]) - self._loss(variant)

    def _scatter(self, variant: int) -> tuple[float, int]:
        """Sum of squares of a variant's scores about their mean, and its degrees of freedom.

        Summed over all variants, their ratio is the pooled variance of one trial.
        """
        scores = self._scores(variant)
        mean = sum(scores) / len(scores) if scores else 0.0
        return sum((score - mean) ** 2 for score in scores), max(len(scores) - 1, 0)

    def _ancestors(self, variant: int) -> set[int]:
        return self._reach(variant, lambda one: self._variants[one].parents)

    def _descendants(self, variant: int) -> set[int]:
        return self._reach(variant, lambda one: self._children.get(one, ()))

    def _reach(self, variant: int, beside: Callable[[int], Sequence[int]]) -> set[int]:
        found: set[int] = set()
        front = list(beside(variant))
        while front:
            one = front.pop()
            if one not in found:
                found.add(one)
                front += beside(one)
        return found

    def _family(self, variant: int) -> Iterator[list[int]]:
        """The variant, those one step away in the family tree, those two steps away, ..."""
        seen, front = {variant}, [variant]
        for _ in range(FARTHEST + 1):
            yield front
            beside = [
                kin
                for one in front
                for kin in (*self._variants[one].parents, *self._children.get(one, ()))
            ]
            front = sorted(set(beside) - seen)
            seen.update(front)

    def _keep(self, proposal: int, source: str) -> None:
        """Puts a text that git doesn't have beside the trials, where the next session finds it."""
        folder = self._folder.with_name(BROKEN)
        with suppress(OSError, UnicodeEncodeError):  # then it can't be mended, which is no harm
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{proposal}.txt").write_text(source, "utf-8", newline="")
            ours = [path for path in folder.glob("*.txt") if path.stem.isdecimal()]
            ours.sort(key=lambda path: int(path.stem))
            for path in ours[:-KEPT_FAILURES]:
                path.unlink()

    def _kept(self, proposal: int) -> str:
        try:
            path = self._folder.with_name(BROKEN) / f"{proposal}.txt"
            return path.read_bytes().decode("utf-8")
        except OSError as error:
            raise KeyError(proposal) from error

    def _log(self, trial: int) -> str:
        """The end of what a trial printed; nothing if its log is gone."""
        path = self._folder / str(trial) / "log.txt"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_BYTES))
                return clean_text(file.read().decode("utf-8", "replace"))
        except OSError:
            return ""
