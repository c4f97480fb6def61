"""What an engine shows of itself: its heartbeat, and a line for people for all that happens."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from evo.archive.archive import Archive
from evo.archive.publication import Publisher
from evo.config import Settings
from evo.engine import heartbeat
from evo.engine.casebook import EngineCasebook
from evo.engine.heartbeat import MOST_MARKS, Heartbeat, Mark, Phase, RunningTrial
from evo.engine.shelf import PopulationShelf
from evo.engine.studio import Studio
from evo.nouns import (
    CurvePoint,
    Event,
    Outcome,
    Proposal,
    Purpose,
    Recipe,
    Standing,
    Task,
    Trial,
    utc,
)
from evo.population.population import Population
from evo.search.search import Search
from evo.text import clean_text


@dataclass(frozen=True, slots=True)
class Rooms:
    """What an engine works with; the command line puts it together."""

    folder: Path
    """population/RUN."""
    settings: Settings
    task: Task
    archive: Archive
    publisher: Publisher
    """Of the archive."""
    bundler: Publisher
    """Of the population, as one file."""
    population: Population
    search: Search
    shelf: PopulationShelf
    baseline: str
    """Text of the editable file, for a run that is new."""
    casebook: EngineCasebook
    studio: Studio
    known: dict[str, int]
    """Variants by fingerprint."""
    warnings: Sequence[str] = ()
    """What was passed over when these were put together."""
    notes: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    """What threads other than the engine's want people to know."""


@dataclass(slots=True)
class Running:
    """A trial that runs now, and what was heard of it."""

    trial: Trial
    curve: list[CurvePoint] = field(default_factory=list)

    @property
    def point(self) -> CurvePoint | None:
        """The last."""
        return self.curve[-1] if self.curve else None


@dataclass(slots=True)
class Counts:
    """Numbers that go up: ids to give out; trials of this engine; refused proposals of the run."""

    next_brief: int = 0
    next_variant: int = 0
    next_trial: int = 0
    finished: int = 0
    scored: int = 0
    refused: int = 0

    def begin_at(self, brief: int, variant: int, trial: int) -> None:
        """Goes on from the ids that the archive has given out."""
        self.next_brief, self.next_variant, self.next_trial = brief, variant, trial

    def note(self, proposal: Proposal) -> None:
        self.refused += proposal.outcome is not Outcome.ACCEPTED


@dataclass(slots=True)
class Limits:
    """What ends this session, and how many trials run at a time; people may change both."""

    trials: int | None
    """Finished ones, since this engine started; None means no limit."""
    hours: float | None
    """Since this engine started; None means no limit."""
    slots: int


@dataclass(slots=True)
class Occupation:
    """How much of the slots' time was used."""

    at: float
    used_seconds: float = 0.0
    all_seconds: float = 0.0

    def note(self, now: float, running: int, slots: int) -> None:
        """Counts the time since the last note as it is now; a clock that was set back as none."""
        passed = max(now - self.at, 0.0)
        self.at = now
        self.used_seconds += passed * min(running, slots)
        self.all_seconds += passed * slots

    @property
    def share(self) -> float | None:
        return self.used_seconds / self.all_seconds if self.all_seconds else None


class Bulletin:
    """Writes the heartbeat and the log of events.

    Args:
        rooms: The engine's stores.
        counts: Kept by the engine.
        running: Trials that run, by id; kept by the engine.
        limits: Kept by the engine.
        clock: Unix seconds.
    """

    def __init__(
        self,
        rooms: Rooms,
        counts: Counts,
        running: Mapping[int, Running],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._rooms, self._counts, self._running, self._clock = rooms, counts, running, clock
        self._limits = limits
        self._began = clock()
        self._occupation = Occupation(self._began)
        self._marks = deque[Mark](maxlen=MOST_MARKS)
        self._process = heartbeat.this_process()
        self.phase = Phase.STARTING
        self.message = ""

    def say(self, kind: str, text: str) -> None:
        """Notes something that no table of the archive tells, there and for people."""
        self._rooms.archive.record_event(Event(self._utc(), kind, text))
        self.log(kind, text)

    def log(self, kind: str, text: str) -> None:
        """Notes something for people alone: the archive has it in a table of its own."""
        line = clean_text(" ".join(text.splitlines()))
        with (self._rooms.folder / heartbeat.LOG).open("a", encoding="utf-8") as log:
            log.write(f"{self._utc():%Y-%m-%d %H:%M:%S}  {kind:<9} {line}\n")

    def say_trial(self, trial: Trial, standing: Standing, queued: int) -> None:
        """Notes how a trial ended; the heartbeat knows of it before the log does.

        Raises:
            OSError: One of the two can't be written.
        """
        assert trial.measurement is not None
        self._mark(trial.id)
        self.beat(queued)
        score = trial.measurement.score
        if score is None:
            text = f"{trial.measurement.status}: {trial.measurement.cause}"
        else:
            text = f"{self._rooms.task.metric} {score:.4f}  {standing}"
        again = " (again)" if trial.purpose is Purpose.REPLICATE else ""
        title = self._rooms.shelf.title(trial.variant)
        self.log("trial", f"{trial.id:>4}  v{trial.variant:<4} {text}  {title}{again}")

    def _mark(self, trial: int) -> None:
        search = self._rooms.search
        self._marks.append(
            Mark(
                trial=trial,
                trials_finished=self._counts.finished,
                kept=len(search.living()),
                best=self._score(search.champion),
            )
        )

    def _utc(self) -> datetime:
        return utc(self._clock())

    def beat(self, queued: int) -> None:
        """Replaces the heartbeat.

        Raises:
            OSError: It can't be written.
        """
        self._occupation.note(self._clock(), len(self._running), self._limits.slots)
        write = heartbeat.write_last if self.phase.over else heartbeat.write
        write(self._rooms.folder, self._heartbeat(self._clock(), queued))

    def _heartbeat(self, now: float, queued: int) -> Heartbeat:
        rooms, counts = self._rooms, self._counts
        pid, started = self._process
        champion = rooms.search.champion
        return Heartbeat(
            run=rooms.settings.run,
            pid=pid,
            started=started,
            at=now,
            phase=self.phase,
            message=self.message,
            metric=rooms.task.metric,
            trials_finished=counts.finished,
            trials_scored=counts.scored,
            trials_wanted=self._limits.trials,
            proposals=counts.next_brief,
            refused=counts.refused,
            kept=len(rooms.search.living()),
            queued=queued,
            slots=self._limits.slots,
            busy=self._occupation.share,
            baseline=self._score(0) if champion is not None else None,
            best=self._score(champion),
            champion=champion,
            champion_title=self._title(champion) if champion is not None else "",
            seconds=now - self._began,
            seconds_left=self._seconds_left(now),
            spent_usd=self._spent()[0],
            limit_usd=self._spent()[1],
            running=tuple(self._show(running) for running in self._running.values()),
            marks=tuple(self._marks),
        )

    def _title(self, variant: int) -> str:
        return clean_text(self._rooms.shelf.title(variant))

    def _score(self, variant: int | None) -> float | None:
        estimate = None if variant is None else self._rooms.search.estimate(variant)
        return None if estimate is None else self._rooms.task.direction.loss(estimate.mean)

    def _show(self, running: Running) -> RunningTrial:
        point, trial = running.point, running.trial
        elapsed = point.elapsed_seconds if point else self._since_start(trial)
        return RunningTrial(
            trial=trial.id,
            variant=trial.variant,
            title=self._title(trial.variant),
            share=min(elapsed / trial.budget_seconds, 1.0),
            loss=point.loss if point else None,
            elapsed_seconds=elapsed,
            again=trial.purpose is Purpose.REPLICATE,
        )

    def _since_start(self, trial: Trial) -> float:
        """Budget that a trial without reports has used, as far as one can see from outside."""
        if self._rooms.task.recipe is not Recipe.COMMAND or trial.started_at is None:
            return 0.0
        return max((self._utc() - trial.started_at).total_seconds(), 0.0)

    def _seconds_left(self, now: float) -> float | None:
        limits, done = self._limits, self._counts.finished
        passed, left = now - self._began, []
        if limits.hours:
            left.append(limits.hours * 3600 - passed)
        if limits.trials is not None and done:
            left.append(passed / done * (limits.trials - done))
        usd, most = self._spent()
        if most is not None and usd > 0:
            left.append(passed / usd * (most - usd))
        return max(min(left), 0.0) if left else None

    def trials_left(self) -> float | None:
        """About how many more will be started, time and money at the pace so far.

        None where nobody knows.
        """
        limits, done, running = self._limits, self._counts.finished, len(self._running)
        left = [] if limits.trials is None else [float(limits.trials - done - running)]
        seconds = self._seconds_left(self._clock())
        if seconds is not None and (limits.hours or self._spent()[1] is not None) and done:
            passed = max(self._clock() - self._began, 1e-3)
            left.append(seconds / passed * done - running)
        return min(left, default=None)

    def _spent(self) -> tuple[float, float | None]:
        """Dollars of this session, and how many there may be."""
        roster = self._rooms.studio.roster
        return (0.0, None) if roster is None else (roster.purse.spent_usd, roster.purse.limit_usd)
