"""The trials of a run: which ones wait, which ones run, and what becomes of them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from evo.arena.compiled import Kept
from evo.engine import curves
from evo.engine.bulletin import Bulletin, Counts, Limits, Rooms, Running
from evo.engine.inbox import RefusedError
from evo.engine.layout import COMPILED
from evo.errors import ArenaError, EvoError
from evo.executors.executor import Executor, TrialLost, TrialProgress
from evo.nouns import Measurement, Purpose, Status, Trial

MOST_ATTEMPTS = 3
"""Times that a trial is started before infrastructure that breaks it is called its end."""
MOST_LOST_IN_A_ROW = 6
"""Trials lost with none measured in between, before the engine stops and says why."""


class StopError(EvoError):
    """The engine can't go on; what is finished is safe."""


class Trials:
    """Queues trials, has them run, and writes down how they ended; then the search is told.

    Args:
        rooms: The engine's stores.
        executor: Runs them.
        bulletin: Where people are told.
        counts: Numbers that go up.
        limits: What ends this session.
        running: Trials that run now, by id; this keeps it up to date, others look at it.
        utc: The time.
    """

    def __init__(
        self,
        rooms: Rooms,
        executor: Executor,
        bulletin: Bulletin,
        counts: Counts,
        limits: Limits,
        running: dict[int, Running],
        utc: Callable[[], datetime],
    ) -> None:
        self._rooms, self._executor, self._bulletin = rooms, executor, bulletin
        self._counts, self._limits, self._running, self._utc = counts, limits, running, utc
        self._queue: deque[Trial] = deque()
        self._of: dict[int, int] = {}  # trials by variant, that are scored or to come
        self._given_up: dict[int, Measurement] = {}  # by trial: what somebody wants of its end
        self._lost_in_a_row = 0

    @property
    def waiting(self) -> int:
        """How many are queued."""
        return len(self._queue)

    def recall(self, trial: Trial) -> None:
        """Takes notice of one that an earlier engine finished."""
        if trial.score is not None:
            self._of[trial.variant] = self._of.get(trial.variant, 0) + 1

    def queue(self, variant: int, purpose: Purpose, *, front: bool = False) -> None:
        """One more trial of a variant, with a seed of its own; at the front, before all others."""
        number = self._counts.next_trial
        self._counts.next_trial += 1
        seed = random.Random(f"{self._rooms.settings.seed}:trial:{number}").getrandbits(31)
        task = self._rooms.task
        trial = Trial(number, variant, seed, purpose, task.budget_seconds, task.scale)
        self._rooms.archive.queue_trial(trial)
        self.enqueue(trial, front=front)

    def enqueue(self, trial: Trial, *, front: bool = False) -> None:
        """A trial that the archive knows already."""
        self._of[trial.variant] = self._of.get(trial.variant, 0) + 1
        if front or trial.purpose is Purpose.REPLICATE:
            self._queue.appendleft(trial)
        else:
            self._queue.append(trial)

    def repeat(self) -> None:
        """Queues what the search wants measured again: it goes before anything new."""
        for variant, wanted in self._rooms.search.wanted_trials().items():
            if self._of.get(variant, 0) < wanted:
                self.queue(variant, Purpose.REPLICATE)

    def start(self) -> None:
        """Starts as many as there is room for.

        Raises:
            StopError: Too many in a row can't be started, see `lose`.
        """
        limit = self._limits.trials
        while self._queue and self._executor.free_slots and len(self._running) < self._limits.slots:
            if limit is not None and self._counts.finished + len(self._running) >= limit:
                return
            trial = self._queue.popleft()
            try:
                self._start(trial)
            except ArenaError as error:
                if self.lose(TrialLost(trial.id, str(error))):
                    self._rooms.publisher.request()
                return  # until the next beat: it may be for want of memory

    def _start(self, trial: Trial) -> None:
        """Has a trial run.

        Raises:
            ArenaError: It can't be started.
        """
        trial = replace(trial, started_at=self._utc())
        folder = self._rooms.folder / "trials" / str(trial.id)
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "log.txt"
        log.unlink(missing_ok=True)
        curves.begin(self._rooms.folder, trial.id)
        assert trial.started_at is not None
        self._rooms.archive.start_trial(trial.id, trial.started_at, trial.attempt)
        self._running[trial.id] = Running(trial)
        source = self._rooms.shelf.source(trial.variant)
        self._executor.submit(
            trial.id,
            source,
            trial.seed,
            str(log),
            deep=trial.purpose is Purpose.REPLICATE,
            compiled=Kept(str(self._rooms.folder / COMPILED), trusted=trial.variant == 0),
        )

    def hear(self, event: TrialProgress) -> None:
        """Takes a point of a running trial's curve; gives the trial up if the search says so."""
        running = self._running.get(event.trial)
        if running is None:
            return
        running.curve.append(event.point)
        with suppress(OSError):  # a picture is no reason to stop
            curves.append(self._rooms.folder, event.trial, event.point)
        if event.trial in self._given_up:
            return
        cause = self._rooms.search.hopeless(running.trial, running.curve)
        if cause:
            end = Measurement(Status.PRUNED, cause=cause, curve=tuple(running.curve))
            self.give_up(event.trial, end)

    def measured(self, number: int, measurement: Measurement) -> bool:
        """Takes how a trial ended; False if nobody waits for that any more.

        Raises:
            StopError: It was the baseline's, and has no score.
        """
        self._given_up.pop(number, None)
        rooms, running = self._rooms, self._running.pop(number, None)
        if running is None:
            return False
        self._lost_in_a_row = 0
        trial = replace(running.trial, measurement=measurement, finished_at=self._utc())
        before = rooms.search.champion
        rooms.casebook.tell(trial)
        standing = rooms.search.tell(trial)
        rooms.archive.finish_trial(trial, standing)
        self._counts.finished += 1
        if measurement.score is None:
            self._of[trial.variant] -= 1
        else:
            self._counts.scored += 1
        self._bulletin.say_trial(trial, standing, self.waiting)
        if rooms.search.champion != before:
            self.crown()
        self.check_baseline(trial)
        return True

    def lose(self, event: TrialLost) -> bool:
        """Takes that a trial couldn't be run; whether that was its end.

        Raises:
            StopError: Too many in a row, or the baseline: somebody must mend something first.
        """
        if event.trial in self._given_up:
            return self.measured(event.trial, self._given_up[event.trial])
        running = self._running.pop(event.trial, None)
        if running is None:
            return False
        trial = running.trial
        self._of[trial.variant] -= 1
        self._lost_in_a_row += 1
        self._bulletin.say("lost", f"trial {trial.id} couldn't be run: {event.cause}")
        if self._lost_in_a_row >= MOST_LOST_IN_A_ROW:
            raise StopError(
                f"{self._lost_in_a_row} trials in a row couldn't be run: {event.cause}; "
                "mend that and start again: they are still queued"
            )
        if trial.attempt < MOST_ATTEMPTS:
            # Behind those that wait: it may be the one that nothing can be run beside.
            self.enqueue(replace(trial, attempt=trial.attempt + 1, started_at=None))
            return False
        if trial.variant == 0 and self._rooms.search.champion is None:
            raise StopError(
                f"the baseline couldn't be run: {event.cause}; mend that and start again: it is "
                "still queued"
            )
        measurement = Measurement(Status.INFRASTRUCTURE, cause=event.cause)
        trial = replace(trial, measurement=measurement, finished_at=self._utc())
        self._rooms.casebook.tell(trial)
        self._rooms.archive.finish_trial(trial, self._rooms.search.tell(trial))
        return True

    def give_up(self, trial: int, measurement: Measurement) -> str:
        """Ends a trial that runs or waits, with this for its result; what came of it, in words."""
        waiting = next((one for one in self._queue if one.id == trial), None)
        found = waiting or (self._running[trial].trial if trial in self._running else None)
        if found is not None and found.variant == 0 and self._rooms.search.champion is None:
            raise RefusedError("it is the baseline's first trial, and all others wait for it")
        if waiting is not None:
            self._queue.remove(waiting)
            self._running[trial] = Running(waiting)
            self.measured(trial, measurement)
            return "given up before it ran"
        if trial not in self._running:
            raise RefusedError(f"trial {trial} isn't running")
        self._given_up[trial] = measurement
        self._executor.abort(trial)
        return "given up"

    def check_baseline(self, trial: Trial) -> None:
        """A search has nothing to begin with if the baseline has no score.

        Raises:
            StopError: This was its trial, and there is none.
        """
        if trial.variant == 0 and trial.score is None and self._rooms.search.champion is None:
            assert trial.measurement is not None
            raise StopError(
                f"the baseline has no score: {trial.measurement.cause}; mend "
                f"{self._rooms.task.editable} and start another run with --run NAME (its output: "
                f"evo log 0 --run {self._rooms.settings.run})"
            )

    def crown(self) -> None:
        """Writes down who leads now: in the archive, and as a ref."""
        rooms, champion = self._rooms, self._rooms.search.champion
        assert champion is not None
        variant, estimate = rooms.shelf.variant(champion), rooms.search.estimate(champion)
        assert estimate is not None
        score = rooms.task.direction.loss(estimate.mean)
        rooms.archive.record_champion(champion, replace(estimate, mean=score), self._utc())
        rooms.population.set_champion(variant.commit, f"champion: {variant.title}")
        self._bulletin.log(
            "champion", f"variant {champion} leads with {score:.4f}: {variant.title}"
        )
