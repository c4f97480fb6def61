"""The engine: ask, propose, commit, try, record, tell, publish; over and over, until it is told to
stop.

One thread owns the archive, the population and the search. Desks and slots work on threads and
processes of their own and put what they have into one queue, so that results may come in any
order and nothing here needs a lock.
"""

from __future__ import annotations

import queue
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime

from evo.engine import curves
from evo.engine.bulletin import Bulletin, Counts, Limits, Rooms, Running
from evo.engine.desk import Desk
from evo.engine.heartbeat import Phase
from evo.engine.layout import BUNDLE
from evo.engine.reception import HUMAN, Reception
from evo.errors import EvoError
from evo.executors.executor import Executor, TrialEvent, TrialLost, TrialMeasured, TrialProgress
from evo.nouns import (
    Brief,
    Favour,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Status,
    Trial,
    Variant,
    Wish,
)
from evo.operators.screening import count_lines, fingerprint
from evo.patch import diff
from evo.population.population import commit_message

BEAT_SECONDS = 1.0
MOST_ATTEMPTS = 3
"""Times that a trial is started before infrastructure that breaks it is called its end."""
MOST_LOST_IN_A_ROW = 6
"""Trials lost with none measured in between, before the engine stops and says why."""
MOST_REFUSED_IN_A_ROW = 200
"""Proposals refused with none accepted in between, before the engine calls the search exhausted."""
BUNDLE_SECONDS = 600.0
"""The git bundle beside the published archive is renewed so often, and at the end."""


class StopError(EvoError):
    """The engine can't go on; what is finished is safe."""


class Engine:
    """Runs one search until it is told to stop, or has done what it was asked.

    Args:
        rooms: Stores, strategy and settings.
        make_desk: Makes the desk, given where its proposals go.
        make_executor: Makes the executor, given where its events go.
        clock: Unix seconds.
    """

    def __init__(
        self,
        rooms: Rooms,
        make_desk: Callable[[Callable[[Proposal, str], None]], Desk],
        make_executor: Callable[[Callable[[TrialEvent], None]], Executor],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rooms, self._clock = rooms, clock
        self._events: queue.SimpleQueue[TrialEvent | tuple[Proposal, str]] = queue.SimpleQueue()
        self._desk = make_desk(lambda proposal, mark: self._events.put((proposal, mark)))
        self._executor = make_executor(self._events.put)
        self._slots = self._executor.free_slots
        settings = rooms.settings
        self._limits = Limits(settings.trials, settings.hours, self._slots)
        self._queue: deque[Trial] = deque()
        self._running: dict[int, Running] = {}
        self._asked: set[int] = set()
        self._trials_of: dict[int, int] = {}  # trials by variant, that are scored or to come
        self._counts = Counts()
        self._given_up: dict[int, Measurement] = {}  # by trial: what somebody wants of its end
        self._bulletin = Bulletin(rooms, self._counts, self._running, self._limits, clock)
        self._reception = Reception(rooms, self._bulletin, clock, self)
        self._now_at_once = False
        self._lost_in_a_row = 0
        self._refused_in_a_row = 0
        self._said_of_publishing: str | None = None
        self._next_beat = self._next_bundle = 0.0
        self._began = clock()

    # The loop

    def run(self) -> Phase:
        """Works until there is nothing left to do; how it ended.

        Raises:
            EvoError: A store failed; what was acknowledged before is safe.
        """
        try:
            self._open()
            self._bulletin.phase = Phase.SEARCHING
            while not self._is_done():
                self._reception.take()
                self._pass_on_notes()
                self._ask()
                self._start_trials()
                if self._clock() >= self._next_beat:
                    self._next_beat = self._clock() + BEAT_SECONDS
                    self._bulletin.beat(len(self._queue))
                self._await_event()
            self._bulletin.phase = Phase.STOPPED
        except StopError as error:
            self._fail(str(error))
            self._bulletin.say("failed", str(error))
        except OSError as error:
            self._fail(f"{error}; what is finished is safe: mend that and start again")
            raise EvoError(self._bulletin.message) from error
        except Exception as error:
            self._fail(str(error) if isinstance(error, EvoError) else f"bug: {error!r}")
            raise
        finally:
            self._close()
        return self._bulletin.phase

    def _await_event(self) -> None:
        try:
            event = self._events.get(timeout=max(0.0, self._next_beat - self._clock()))
        except queue.Empty:
            return
        if isinstance(event, tuple):
            self._take_proposal(*event)
        elif isinstance(event, TrialProgress):
            if event.trial in self._running:
                self._running[event.trial].point = event.point
                with suppress(OSError):  # a picture is no reason to stop
                    curves.append(self._rooms.folder, event.trial, event.point)
        elif isinstance(event, TrialMeasured):
            self._take_measurement(event.trial, event.measurement)
        else:
            self._take_loss(event)

    def _pass_on_notes(self) -> None:
        while not self._rooms.notes.empty():
            self._bulletin.say("note", self._rooms.notes.get())

    def _is_done(self) -> bool:
        limits, roster = self._limits, self._rooms.studio.roster
        if self._bulletin.phase.open:
            if limits.trials is not None and self._counts.finished >= limits.trials:
                self._finish("all trials are done")
            elif limits.hours and self._clock() - self._began > limits.hours * 3600:
                self._finish(f"{limits.hours:g} hours are over")
            elif roster is not None and roster.purse.is_spent:
                self._finish(f"models have cost ${roster.purse.spent_usd:.4f}")
        if self._now_at_once:
            return True
        return self._bulletin.phase is Phase.FINISHING and not self._running

    def _fail(self, why: str) -> None:
        self._bulletin.phase, self._bulletin.message = Phase.FAILED, why

    def _finish(self, why: str) -> None:
        self._bulletin.phase, self._bulletin.message = Phase.FINISHING, why

    # Opening and closing

    def _open(self) -> None:
        rooms = self._rooms
        rooms.archive.begin_session(self._utc())
        for variant in rooms.archive.variants():
            rooms.shelf.add(variant)
            rooms.known[variant.fingerprint] = variant.id
        ids = rooms.archive.next_ids()
        self._counts.begin_at(ids.proposal, ids.variant, ids.trial)
        by_proposal = {variant.proposal: variant for variant in rooms.archive.variants()}
        baseline = None
        for record in rooms.archive.history():
            self._replay(record, by_proposal)
            if isinstance(record, Trial) and record.variant == 0:
                baseline = record
        for trial in rooms.archive.unfinished_trials():
            self._enqueue(replace(trial, measurement=None, started_at=None))
        champion = rooms.search.champion
        if champion is not None and champion != rooms.archive.champion():
            self._crown()  # the last engine was killed between a trial and the promotion it led to
        elif champion is not None:
            rooms.population.set_champion(rooms.shelf.variant(champion).commit, "resumed")
        if rooms.known:
            again = f", {len(self._queue)} trials to run again" if self._queue else ""
            self._bulletin.say("resumed", f"{len(rooms.known)} variants are known{again}")
            if fingerprint(rooms.baseline) not in rooms.known:
                name = rooms.task.editable
                self._bulletin.say(
                    "note",
                    f"{name} has changed since this run began, which goes on from what it was: "
                    f"`evo enqueue {name}` has it tried here, --run NAME begins with it",
                )
        for warning in rooms.warnings:
            self._bulletin.say("note", warning)
        if baseline is not None:
            self._check_baseline(baseline)

    def _replay(self, record: Proposal | Trial | Wish, variants: dict[int, Variant]) -> None:
        search = self._rooms.search
        if isinstance(record, Wish):
            search.tell(record)
            return
        self._rooms.casebook.tell(record)
        if isinstance(record, Trial):
            search.tell(record)
            if record.score is not None:
                self._trials_of[record.variant] = self._trials_of.get(record.variant, 0) + 1
            return
        search.tell(record)
        self._counts.note(record)
        self._reception.answered(record)
        if record.id in variants:
            self._rooms.casebook.tell(variants[record.id])
            search.tell(variants[record.id])

    def _close(self) -> None:
        """Gives everything back, and only then says so: the run is free when it is over."""
        rooms, bulletin = self._rooms, self._bulletin
        try:
            # Last in, first out; each is done, whatever becomes of the others.
            with ExitStack() as closing:
                closing.callback(rooms.archive.close)
                closing.callback(rooms.publisher.close)
                closing.callback(self._publish)
                closing.callback(lambda: rooms.archive.end_session(self._utc(), bulletin.message))
                closing.callback(self._executor.close)
                closing.callback(self._pass_on_notes)
                closing.callback(self._desk.close)
                closing.callback(rooms.studio.close)
        except (EvoError, OSError) as error:
            if bulletin.phase is not Phase.FAILED:  # else it is what came of the first cause
                self._fail(str(error))
                raise
        finally:
            with suppress(OSError):
                bulletin.beat(len(self._queue))

    def _publish(self) -> None:
        self._bundle(at_once=True)
        self._rooms.publisher.request()
        self._rooms.publisher.flush()

    # Proposals

    def _ask(self) -> None:
        if self._bulletin.phase is not Phase.SEARCHING:
            return
        rooms, limit, slots = self._rooms, self._limits.trials, self._limits.slots
        if self._refused_in_a_row >= MOST_REFUSED_IN_A_ROW and self._running:
            return  # until a trial says something new
        ahead = slots * rooms.settings.proposals_ahead or slots - len(self._running)
        if limit is not None:
            ahead = min(ahead, limit - self._counts.finished - len(self._running))
        while len(self._asked) + len(self._queue) < ahead or self._can_try_idea():
            brief = self._next_brief()
            if brief is None:
                idle = not (self._asked or self._queue or self._running)
                if idle and not self._rooms.search.wanted_trials():
                    self._finish("there is nothing left to propose")
                return
            self._asked.add(brief.id)
            if brief.operator == "baseline":
                self._take_proposal(*self._baseline(brief))
            else:
                self._desk.take(brief)

    def _next_brief(self) -> Brief | None:
        search, number = self._rooms.search, self._counts.next_brief
        chance = random.Random(f"{self._rooms.settings.seed}:brief:{number}")
        brief: Brief | None
        if self._can_try_idea():
            assert search.champion is not None
            brief = Brief(number, HUMAN, (search.champion,), self._reception.next_idea())
        else:
            search.offer(self._rooms.studio.arms())
            brief = search.ask(number, chance)
        if brief is not None:
            self._counts.next_brief += 1
        return brief

    def _can_try_idea(self) -> bool:
        return self._reception.has_idea and self._rooms.search.champion is not None

    def _baseline(self, brief: Brief) -> tuple[Proposal, str]:
        proposal = Proposal(
            id=brief.id,
            operator=brief.operator,
            parents=(),
            outcome=Outcome.ACCEPTED,
            title="Baseline",
            rationale=f"{self._rooms.task.editable} as it was when the run began.",
            source=self._rooms.baseline,
        )
        return proposal, fingerprint(self._rooms.baseline)

    def _take_proposal(self, proposal: Proposal, mark: str) -> None:
        rooms = self._rooms
        self._asked.discard(proposal.id)
        if not proposal.program_sha:
            sha = rooms.studio.program.current().program.sha
            proposal = replace(proposal, program_sha=sha)
        twin = rooms.known.get(mark) if proposal.outcome is Outcome.ACCEPTED else None
        if twin is not None:  # made by two desks at once
            cause = f"it equals variant {twin}, whose result stands for it"
            proposal = replace(proposal, outcome=Outcome.DUPLICATE, cause=cause, twin=twin)
        variant = None
        if proposal.outcome is Outcome.ACCEPTED:
            variant = self._commit(proposal, mark)
        rooms.archive.record_proposal(proposal, variant, self._utc())
        self._counts.note(proposal)
        rooms.casebook.tell(proposal)
        rooms.search.tell(proposal)
        self._reception.answered(proposal)
        self._refused_in_a_row = 0 if variant else self._refused_in_a_row + 1
        if variant is None:
            what = proposal.title or f"{proposal.operator} {proposal.subject}".strip()
            self._bulletin.log("refused", f"{what}: {proposal.outcome}: {proposal.cause}")
            idle = not (self._running or self._queue)
            if self._refused_in_a_row >= MOST_REFUSED_IN_A_ROW and idle:
                self._finish("the operators find nothing new to propose")
            return
        assert proposal.source is not None
        rooms.known[mark] = variant.id
        rooms.shelf.add(variant, proposal.source)
        rooms.casebook.tell(variant)
        rooms.search.tell(variant)
        self._queue_trial(variant.id, Purpose.FIRST, front=proposal.operator == HUMAN)

    def _commit(self, proposal: Proposal, mark: str) -> Variant:
        rooms, number, now = self._rooms, self._counts.next_variant, self._utc()
        self._counts.next_variant += 1
        assert proposal.source is not None
        parents = [rooms.shelf.variant(parent) for parent in proposal.parents]
        before = rooms.shelf.source(parents[0].id) if parents else proposal.source
        message = commit_message(
            title=proposal.title,
            rationale=proposal.rationale,
            variant=number,
            operator=proposal.operator,
            parents=proposal.parents,
            run=rooms.settings.run,
            subject=proposal.subject,
            role=proposal.role,
            model=proposal.model,
        )
        commit = rooms.population.commit(
            proposal.source,
            parents=[parent.commit for parent in parents],
            message=message,
            when=now,
            variant=number,
        )
        return Variant(
            id=number,
            commit=commit,
            parents=proposal.parents,
            operator=proposal.operator,
            title=proposal.title,
            rationale=proposal.rationale,
            diff=diff(before, proposal.source, rooms.task.editable),
            fingerprint=mark,
            lines=count_lines(proposal.source),
            proposal=proposal.id,
            created_at=now,
            subject=proposal.subject,
            role=proposal.role,
            model=proposal.model,
        )

    # Trials

    def _queue_trial(self, variant: int, purpose: Purpose, *, front: bool = False) -> None:
        number = self._counts.next_trial
        self._counts.next_trial += 1
        seed = random.Random(f"{self._rooms.settings.seed}:trial:{number}").getrandbits(31)
        task = self._rooms.task
        trial = Trial(number, variant, seed, purpose, task.budget_seconds, task.scale)
        self._rooms.archive.queue_trial(trial)
        self._enqueue(trial, front=front)

    def _enqueue(self, trial: Trial, *, front: bool = False) -> None:
        self._trials_of[trial.variant] = self._trials_of.get(trial.variant, 0) + 1
        if front or trial.purpose is Purpose.REPLICATE:
            self._queue.appendleft(trial)
        else:
            self._queue.append(trial)

    def _start_trials(self) -> None:
        if self._bulletin.phase is not Phase.SEARCHING:
            return
        for variant, wanted in self._rooms.search.wanted_trials().items():
            if self._trials_of.get(variant, 0) < wanted:
                self._queue_trial(variant, Purpose.REPLICATE)
        limit = self._limits.trials
        while self._queue and self._executor.free_slots and len(self._running) < self._limits.slots:
            if limit is not None and self._counts.finished + len(self._running) >= limit:
                return
            self._start(self._queue.popleft())

    def _start(self, trial: Trial) -> None:
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
        deep = trial.purpose is Purpose.REPLICATE
        self._executor.submit(trial.id, source, trial.seed, str(log), deep=deep)

    def _take_measurement(self, number: int, measurement: Measurement) -> None:
        self._given_up.pop(number, None)
        rooms, running = self._rooms, self._running.pop(number, None)
        if running is None:
            return
        self._lost_in_a_row = self._refused_in_a_row = 0
        trial = replace(running.trial, measurement=measurement, finished_at=self._utc())
        before = rooms.search.champion
        rooms.casebook.tell(trial)
        standing = rooms.search.tell(trial)
        rooms.archive.finish_trial(trial, standing)
        self._counts.finished += 1
        if measurement.score is None:
            self._trials_of[trial.variant] -= 1
        else:
            self._counts.scored += 1
        self._bulletin.say_trial(trial, standing)
        if rooms.search.champion != before:
            self._crown()
        self._check_baseline(trial)
        if rooms.publisher.last_error not in (None, self._said_of_publishing):
            self._said_of_publishing = rooms.publisher.last_error
            self._bulletin.say("note", f"{self._said_of_publishing}; what it tells grows old")
        rooms.publisher.request()
        self._bundle()

    def _check_baseline(self, trial: Trial) -> None:
        """A search has nothing to begin with if the baseline has no score.

        Raises:
            StopError: This was its trial, and there is none.
        """
        if trial.variant == 0 and trial.score is None and self._rooms.search.champion is None:
            assert trial.measurement is not None
            raise StopError(
                f"the baseline has no score: {trial.measurement.cause}; mend "
                f"{self._rooms.task.editable} and start another run with --run NAME (its output: "
                "evo log 0)"
            )

    def _take_loss(self, event: TrialLost) -> None:
        if event.trial in self._given_up:
            self._take_measurement(event.trial, self._given_up[event.trial])
            return
        running = self._running.pop(event.trial, None)
        if running is None:
            return
        trial = running.trial
        self._trials_of[trial.variant] -= 1
        self._lost_in_a_row += 1
        self._bulletin.say("lost", f"trial {trial.id} couldn't be run: {event.cause}")
        if self._lost_in_a_row >= MOST_LOST_IN_A_ROW:
            raise StopError(
                f"{self._lost_in_a_row} trials in a row couldn't be run: {event.cause}; "
                "mend that and start again: they are still queued"
            )
        if trial.attempt < MOST_ATTEMPTS:
            self._enqueue(replace(trial, attempt=trial.attempt + 1, started_at=None), front=True)
            return
        if trial.variant == 0 and self._rooms.search.champion is None:
            raise StopError(
                f"the baseline couldn't be run: {event.cause}; mend that and start again: it is "
                "still queued"
            )
        measurement = Measurement(Status.INFRASTRUCTURE, cause=event.cause)
        trial = replace(trial, measurement=measurement, finished_at=self._utc())
        self._rooms.casebook.tell(trial)
        standing = self._rooms.search.tell(trial)
        self._rooms.archive.finish_trial(trial, standing)

    def _crown(self) -> None:
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

    # People: what the reception may have done (see `Helm`)

    def stop(self, who: str, *, now: bool) -> str:
        self._now_at_once = self._now_at_once or now
        if self._bulletin.phase.open:
            self._finish(f"{who} asked for it")
            self._bulletin.say("stopping", f"{len(self._running)} running trials are awaited")
        return "stopping"

    def pause(self) -> str:
        if self._bulletin.phase is not Phase.SEARCHING:
            return f"it is {self._bulletin.phase}"
        self._bulletin.phase = Phase.PAUSED
        return "paused"

    def resume(self) -> str:
        if self._bulletin.phase is not Phase.PAUSED:
            return f"it is {self._bulletin.phase}"
        self._bulletin.phase = Phase.SEARCHING
        return "resumed"

    def give_up(self, trial: int, measurement: Measurement) -> str:
        waiting = next((one for one in self._queue if one.id == trial), None)
        if waiting is not None:
            self._queue.remove(waiting)
            self._running[trial] = Running(waiting)
            self._take_measurement(trial, measurement)
            return "given up before it ran"
        if trial not in self._running:
            return f"trial {trial} isn't running"
        self._given_up[trial] = measurement
        self._executor.abort(trial)
        return "given up"

    def run_again(self, variant: int, purpose: Purpose) -> str:
        if variant not in self._rooms.known.values():
            return f"there is no variant {variant}"
        self._queue_trial(variant, purpose, front=True)
        return "queued"

    def favour(self, variant: int, favour: Favour, who: str) -> str:
        rooms, wish = self._rooms, Wish(variant, favour)
        if variant not in rooms.known.values():
            return f"there is no variant {variant}"
        if variant == 0 and favour is Favour.BANNED:
            return "the baseline can't be banned: it is what all others are compared with"
        before = rooms.search.champion
        rooms.archive.record_wish(wish, who, self._utc())
        rooms.search.tell(wish)
        if rooms.search.champion != before:
            self._crown()
        return "it is as any other again" if favour is Favour.NONE else str(favour)

    def limit_trials(self, more: int | None) -> None:
        self._limits.trials = None if more is None else self._counts.finished + more

    def limit_hours(self, more: float | None) -> None:
        spent = (self._clock() - self._began) / 3600
        self._limits.hours = None if more is None else spent + more

    def limit_cost(self, more: float | None) -> None:
        roster = self._rooms.studio.roster
        if roster is None:
            raise ValueError("no model is asked in this run, and nothing costs anything")
        roster.purse.allow(more)

    def use_slots(self, count: int) -> str:
        if not 1 <= count <= self._slots:
            return f"this engine has {self._slots} slots: name 1 to {self._slots}"
        self._limits.slots = count
        return "changed"

    # Upkeep

    def _bundle(self, *, at_once: bool = False) -> None:
        now = self._clock()
        if (at_once or now >= self._next_bundle) and self._rooms.known:
            self._next_bundle = now + BUNDLE_SECONDS
            self._rooms.population.bundle(self._rooms.archive_folder / BUNDLE)

    def _utc(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
