"""The engine: ask, propose, commit, try, record, tell, publish; over and over, until it is told to
stop.

One thread owns the archive, the population and the search. Desks and slots work on threads and
processes of their own and put what they have into one queue, so that results may come in any
order and nothing here needs a lock.
"""

from __future__ import annotations

import math
import queue
import random
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime

from evo.engine import variants
from evo.engine.bulletin import Bulletin, Counts, Limits, Rooms, Running
from evo.engine.desk import Desk
from evo.engine.heartbeat import Phase
from evo.engine.inbox import RefusedError
from evo.engine.reception import HUMAN, Reception
from evo.engine.takeover import is_foregone, take_over
from evo.engine.trials import StopError, Trials
from evo.errors import EvoError
from evo.executors.executor import Executor, TrialEvent, TrialLost, TrialProgress
from evo.nouns import (
    Brief,
    Favour,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Wish,
    utc,
)
from evo.operators.screening import fingerprint

BEAT_SECONDS = 1.0
MOST_IN_VAIN_IN_A_ROW = 200
"""Proposals with no trial between them, before the engine calls the search exhausted."""
BUNDLE_SECONDS = 600.0
"""The git bundle beside the published archive is renewed so often, and at the end."""


class Engine:
    """Runs one search until it is told to stop, or has done what it was asked.

    Args:
        rooms: Stores, strategy and settings.
        make_desk: Makes the desk, given where its proposals go, and what keeps it from making one.
        make_executor: Makes the executor, given where its events go.
        clock: Unix seconds.
    """

    def __init__(
        self,
        rooms: Rooms,
        make_desk: Callable[[Callable[[Proposal, str], None], Callable[[Exception], None]], Desk],
        make_executor: Callable[[Callable[[TrialEvent], None]], Executor],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rooms, self._clock = rooms, clock
        self._events: queue.SimpleQueue[TrialEvent | tuple[Proposal, str] | Exception]
        self._events = queue.SimpleQueue()
        self._desk = make_desk(
            lambda proposal, mark: self._events.put((proposal, mark)), self._events.put
        )
        self._executor = make_executor(self._events.put)
        self._slots = self._executor.free_slots
        settings = rooms.settings
        self._limits = Limits(settings.trials, settings.hours, self._slots)
        self._running: dict[int, Running] = {}
        self._asked: set[int] = set()
        self._counts = Counts()
        self._bulletin = Bulletin(rooms, self._counts, self._running, self._limits, clock)
        self._trials = Trials(
            rooms,
            self._executor,
            self._bulletin,
            self._counts,
            self._limits,
            self._running,
            self._utc,
        )
        self._reception = Reception(rooms, self._bulletin, clock, self)
        self._now_at_once = self._by_limit = False
        self._in_vain_in_a_row = 0
        self._complaints: set[str] = set()
        self._last_beat = self._last_bundle = -math.inf
        self._began = clock()

    # The loop

    def run(self) -> Phase:
        """Works until there is nothing left to do; how it ended.

        Raises:
            EvoError: A store failed; what was acknowledged before is safe.
        """
        try:
            self._bulletin.beat(self._trials.waiting)  # it may take long to open
            self._open()
            self._bulletin.phase = Phase.SEARCHING
            while not self._is_done():
                self._reception.take()
                self._pass_on_notes()
                self._rooms.search.expect(self._bulletin.trials_left())
                if self._bulletin.phase is Phase.SEARCHING:
                    self._trials.repeat()
                    self._ask()
                if self._bulletin.phase is Phase.SEARCHING:
                    self._trials.start()
                if not 0 <= self._clock() - self._last_beat < BEAT_SECONDS:  # or it was set back
                    self._last_beat = self._clock()
                    self._bulletin.beat(self._trials.waiting)
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
            left = self._last_beat + BEAT_SECONDS - self._clock()
            event = self._events.get(timeout=min(max(0.0, left), BEAT_SECONDS))
        except queue.Empty:
            return
        if isinstance(event, Exception):  # a store has failed a desk: its brief is asked for anew
            raise event
        if isinstance(event, tuple):
            self._take_proposal(*event)
        elif isinstance(event, TrialProgress):
            self._trials.hear(event)
        elif isinstance(event, TrialLost):
            self._keep_up(measured=self._trials.lose(event))
        else:
            self._keep_up(measured=self._trials.measured(event.trial, event.measurement))

    def _pass_on_notes(self) -> None:
        while not self._rooms.notes.empty():
            self._bulletin.say("note", self._rooms.notes.get())

    def _is_done(self) -> bool:
        reached, roster = self._limit_reached(), self._rooms.studio.roster
        if self._bulletin.phase.open and reached:
            self._finish(reached)
            self._by_limit = True
        elif self._bulletin.phase is Phase.FINISHING and self._by_limit and not reached:
            self._bulletin.phase, self._bulletin.message = Phase.SEARCHING, ""  # it was raised
        if self._now_at_once:
            return True
        # What the last of the money has bought is waited for; nothing else is being asked by then.
        bought = roster is not None and roster.purse.is_spent and bool(self._asked)
        return self._bulletin.phase is Phase.FINISHING and not self._running and not bought

    def _limit_reached(self) -> str:
        limits, roster = self._limits, self._rooms.studio.roster
        if limits.trials is not None and self._counts.finished >= limits.trials:
            return "all trials are done"
        if limits.hours and self._clock() - self._began > limits.hours * 3600:
            return f"{limits.hours:g} hours are over"
        if roster is not None and roster.purse.is_spent:
            return f"models have cost ${roster.purse.spent_usd:.4f}"
        return ""

    def _fail(self, why: str) -> None:
        self._bulletin.phase, self._bulletin.message = Phase.FAILED, why

    def _finish(self, why: str) -> None:
        self._bulletin.phase, self._bulletin.message = Phase.FINISHING, why
        self._by_limit = False

    # Opening and closing

    def _open(self) -> None:
        rooms = self._rooms
        rooms.archive.begin_session(self._utc())
        baseline = take_over(rooms, self._trials, self._counts, self._reception)
        champion = rooms.search.champion
        if champion is not None and champion != rooms.archive.champion():
            # The last engine was killed between a trial and the promotion it led to.
            self._trials.crown()
        elif champion is not None:
            rooms.population.set_champion(rooms.shelf.variant(champion).commit, "resumed")
        if rooms.known:
            again = f", {self._trials.waiting} trials to run again" if self._trials.waiting else ""
            self._bulletin.say("resumed", f"{len(rooms.known)} variants are known{again}")
            self._compare_baseline()
        for warning in rooms.warnings:
            self._bulletin.say("note", warning)
        if baseline is not None:
            self._trials.check_baseline(baseline)

    def _compare_baseline(self) -> None:
        """Says so where the file that evolves isn't any more what the run began with."""
        rooms = self._rooms
        name, run = rooms.task.editable, rooms.settings.run
        variant = rooms.known.get(fingerprint(rooms.baseline))
        if variant is None:
            change = "has changed since this run began"
            trying = f"`evo enqueue {name} --run {run}` has it tried here, "
        elif variant:
            change, trying = f"is variant {variant} of this run now", ""
        else:
            return
        self._bulletin.say(
            "note",
            f"{name} {change}, which goes on from what it was: {trying}another --run NAME begins "
            "with it",
        )

    def _close(self) -> None:
        """Gives everything back, and only then says so: the run is free when it is over."""
        rooms, bulletin = self._rooms, self._bulletin
        try:
            # Last in, first out; each is done, whatever becomes of the others.
            with ExitStack() as closing:
                closing.callback(rooms.archive.close)
                closing.callback(rooms.publisher.close)
                closing.callback(rooms.bundler.close)
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
                bulletin.beat(self._trials.waiting)

    def _publish(self) -> None:
        publishers = [self._rooms.publisher]
        if self._rooms.known:
            publishers.append(self._rooms.bundler)
        for each in publishers:
            each.request()
        for each in publishers:
            each.flush()

    # Proposals

    def _ask(self) -> None:
        rooms, limit, slots = self._rooms, self._limits.trials, self._limits.slots
        ahead = slots * rooms.settings.proposals_ahead or slots - len(self._running)
        if limit is not None:
            ahead = min(ahead, limit - self._counts.finished - len(self._running))
        if self._in_vain_in_a_row >= MOST_IN_VAIN_IN_A_ROW:
            if self._may_hear_more():
                ahead = 0  # until that says something new
            else:
                self._in_vain_in_a_row = 0  # whoever rested may propose again
        while len(self._asked) + self._trials.waiting < ahead or self._can_try_idea():
            brief = self._next_brief()
            if brief is None:
                if not self._may_hear_more() and not rooms.search.wanted_trials():
                    self._finish("there is nothing left to propose")
                return
            self._asked.add(brief.id)
            if brief.operator == "baseline":
                self._take_proposal(*variants.baseline(rooms, brief))
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
            variant = variants.commit(rooms, proposal, mark, self._counts.next_variant, self._utc())
            self._counts.next_variant += 1
        rooms.archive.record_proposal(proposal, variant, self._utc())
        self._counts.note(proposal)
        rooms.casebook.tell(proposal)
        rooms.search.tell(replace(proposal, source=None))  # which git has
        self._reception.answered(proposal)
        if variant is None:
            what = proposal.title or f"{proposal.operator} {proposal.subject}".strip()
            self._note_in_vain("refused", f"{what}: {proposal.outcome}: {proposal.cause}")
            return
        assert proposal.source is not None
        rooms.known[mark] = variant.id
        rooms.shelf.add(variant, proposal.source)
        rooms.casebook.tell(variant)
        rooms.search.tell(variant)
        if is_foregone(rooms, variant):
            said = f"variant {variant.id} gets no trial: its change did harm elsewhere"
            self._note_in_vain("foregone", said)
            return
        self._in_vain_in_a_row = 0
        self._trials.queue(variant.id, Purpose.FIRST, front=variant.operator == HUMAN)

    def _note_in_vain(self, kind: str, text: str) -> None:
        """A proposal that leads to no trial; a search that makes only such is exhausted."""
        self._in_vain_in_a_row += 1
        self._bulletin.log(kind, text)
        if self._in_vain_in_a_row >= MOST_IN_VAIN_IN_A_ROW and not self._may_hear_more():
            self._finish("the operators find nothing new to propose")

    def _may_hear_more(self) -> bool:
        """Whether something is still to come that may lead to a trial: an answer, a result, or the
        end of a model's rest."""
        roster = self._rooms.studio.roster
        rests = roster is not None and bool(roster.resting())
        return bool(self._asked or self._trials.waiting or self._running) or rests

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
        said = self._trials.give_up(trial, measurement)
        self._rooms.publisher.request()
        return said

    def run_again(self, variant: int, purpose: Purpose) -> str:
        if variant not in self._rooms.known.values():
            raise RefusedError(f"there is no variant {variant}")
        self._trials.queue(variant, purpose, front=True)
        return "queued"

    def favour(self, variant: int, favour: Favour, who: str) -> str:
        rooms, wish = self._rooms, Wish(variant, favour)
        if variant not in rooms.known.values():
            raise RefusedError(f"there is no variant {variant}")
        if variant == 0 and favour is Favour.BANNED:
            raise RefusedError(
                "the baseline can't be banned: it is what all others are compared with"
            )
        before = rooms.search.champion
        rooms.archive.record_wish(wish, who, self._utc())
        rooms.search.tell(wish)
        if rooms.search.champion != before:
            self._trials.crown()
        return "it is as any other again" if favour is Favour.NONE else str(favour)

    def limit_trials(self, more: int | None) -> None:
        self._limits.trials = None if more is None else self._counts.finished + more

    def limit_hours(self, more: float | None) -> None:
        spent = (self._clock() - self._began) / 3600
        self._limits.hours = None if more is None else spent + more

    def limit_cost(self, more: float | None) -> None:
        roster = self._rooms.studio.roster
        if roster is None:
            raise RefusedError("no model is asked in this run, and nothing costs anything")
        roster.purse.allow(more)

    def use_slots(self, count: int) -> str:
        if not 1 <= count <= self._slots:
            raise RefusedError(f"this engine has {self._slots} slots: name 1 to {self._slots}")
        self._limits.slots = count
        return "changed"

    # Upkeep

    def _keep_up(self, *, measured: bool) -> None:
        """Publishes what a finished trial has added."""
        if not measured:
            return
        self._in_vain_in_a_row, rooms = 0, self._rooms
        for publisher in (rooms.publisher, rooms.bundler):
            said = publisher.last_error
            if said is not None and said not in self._complaints:
                self._complaints.add(said)
                self._bulletin.say("note", f"{said}; what it tells grows old")
        rooms.publisher.request()
        if not 0 <= self._clock() - self._last_bundle < BUNDLE_SECONDS:
            self._last_bundle = self._clock()
            rooms.bundler.request()

    def _utc(self) -> datetime:
        return utc(self._clock())
