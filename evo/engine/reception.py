"""The reception: takes what people ask of an engine, and keeps each idea until it is proposed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from evo.engine import inbox
from evo.engine.bulletin import Bulletin, Rooms
from evo.engine.inbox import REFUSED, RefusedError, Request, Verb
from evo.nouns import Favour, Measurement, Proposal, Purpose, Status, utc
from evo.text import clean_text

HUMAN = "human"
"""Operator of what people hand in; a proposal's subject is the request's id."""
NO_LIMIT = "none"


class Helm(Protocol):
    """What an engine lets people do to it; each answers in a few words what came of it, or raises
    RefusedError."""

    def stop(self, who: str, *, now: bool) -> str:
        """Starts no other trial, and waits for those that run unless it is to end now."""
        ...

    def pause(self) -> str: ...

    def resume(self) -> str: ...

    def give_up(self, trial: int, measurement: Measurement) -> str:
        """Ends a trial that runs or waits, with this for its result."""
        ...

    def run_again(self, variant: int, purpose: Purpose) -> str:
        """Queues one more trial of a variant, before all others."""
        ...

    def favour(self, variant: int, favour: Favour, who: str) -> str:
        """Has the search keep a variant as a parent, or never use it again."""
        ...

    def limit_trials(self, more: int | None) -> None:
        """Ends the session after so many more trials; None takes the limit away."""
        ...

    def limit_hours(self, more: float | None) -> None:
        """Ends the session after so many more hours; None takes the limit away."""
        ...

    def limit_cost(self, more: float | None) -> None:
        """Ends the session when models have cost so many more dollars; None means no limit."""
        ...

    def use_slots(self, count: int) -> str: ...


class Reception:
    """Empties the inbox. An idea's file stays there until its proposal is recorded, so that no
    end of an engine can lose it.

    Args:
        rooms: The engine's stores.
        bulletin: Where people are told.
        clock: Unix seconds.
        helm: The engine.
    """

    def __init__(
        self, rooms: Rooms, bulletin: Bulletin, clock: Callable[[], float], helm: Helm
    ) -> None:
        self._rooms, self._bulletin, self._clock, self._helm = rooms, bulletin, clock, helm
        self._too_late = frozenset(path for path, _ in inbox.take(rooms.folder))
        self._waiting: deque[str] = deque()
        self._files: dict[str, Path] = {}
        self._answered: set[str] = set()
        for arguments in rooms.archive.requests(Verb.HINT):
            self._hint(arguments.get("text", ""))

    def take(self) -> None:
        """Does what was asked since the last time."""
        taken = 0
        for path, request in inbox.take(self._rooms.folder):
            if request is None:
                self._bulletin.say("request", f"{path.name} makes no sense and is dropped")
                path.unlink(missing_ok=True)
            elif self._is_done(request):
                path.unlink(missing_ok=True)
            elif request.id not in self._files:
                self._note(request, self._obey(request, path))
                taken += 1
                if request.id not in self._files:
                    path.unlink(missing_ok=True)
        if taken:
            self._rooms.publisher.request()  # whoever asked waits to see the answer

    @property
    def has_idea(self) -> bool:
        """Whether something that was handed in waits to be asked for."""
        return bool(self._waiting)

    def next_idea(self) -> str:
        """The id of what has waited longest; it waits no more."""
        return self._waiting.popleft()

    def answered(self, proposal: Proposal) -> None:
        """A proposal is on record, now or from an earlier session."""
        if proposal.operator == HUMAN:
            self._answered.add(proposal.subject)
            if path := self._files.pop(proposal.subject, None):
                path.unlink(missing_ok=True)

    def _is_done(self, request: Request) -> bool:
        """Whether an engine did this and was killed before it removed the file.

        What is enqueued is on record as soon as it waits, and is done when it is proposed.
        """
        return request.verb is not Verb.ENQUEUE and self._rooms.archive.has_request(request.id)

    def _obey(self, request: Request, path: Path) -> str:
        if request.verb is Verb.ENQUEUE:
            return self._enqueue(request, path)
        if request.verb.needs_engine and path in self._too_late:
            return f"{REFUSED}it was meant for an engine that has ended"
        try:
            outcome = self._act(request)
        except RefusedError as error:
            outcome = f"{REFUSED}{error}"
        except (KeyError, ValueError) as error:
            outcome = f"{REFUSED}it makes no sense: {error}"
        self._bulletin.log("request", f"{inbox.as_line(request)} {outcome}")
        return outcome

    def _act(self, request: Request) -> str:
        """Does what is asked; what came of it.

        Raises:
            KeyError, ValueError: An argument is missing, or makes no sense.
            RefusedError: It can't be done.
        """
        helm, given = self._helm, request.arguments
        match request.verb:
            case Verb.STOP:
                return helm.stop(request.who, now=given.get("how") == "now")
            case Verb.PAUSE:
                return helm.pause()
            case Verb.RESUME:
                return helm.resume()
            case Verb.KILL:
                cause = f"{request.who} gave it up"
                return helm.give_up(
                    int(given["trial"]), Measurement(Status.INFRASTRUCTURE, cause=cause)
                )
            case Verb.PRUNE:
                cause = f"{request.who} pruned it"
                return helm.give_up(int(given["trial"]), Measurement(Status.PRUNED, cause=cause))
            case Verb.RETRY:
                return helm.run_again(int(given["variant"]), Purpose.FIRST)
            case Verb.REPLICATE:
                return helm.run_again(int(given["variant"]), Purpose.REPLICATE)
            case Verb.PIN | Verb.BAN:
                wanted = Favour.PINNED if request.verb is Verb.PIN else Favour.BANNED
                favour = Favour.NONE if "off" in given else wanted
                return helm.favour(int(given["variant"]), favour, request.who)
            case Verb.BUDGET:
                return self._limit(given)
            case Verb.SLOTS:
                return helm.use_slots(int(given["count"]))
            case _:
                if not self._hint(given["text"]):
                    raise ValueError("a hint has words")
                return self._told()

    def _limit(self, given: dict[str, str]) -> str:
        trials = None if given.get("trials", NO_LIMIT) == NO_LIMIT else int(given["trials"])
        hours, cost = _amount(given, "hours"), _amount(given, "cost")
        if trials is not None and trials < 1:
            raise ValueError("a limit must be more than 0")
        if not given:
            raise ValueError("no limit is named")
        if "cost" in given:  # first, for it alone may be refused
            self._helm.limit_cost(cost)
        if "trials" in given:
            self._helm.limit_trials(trials)
        if "hours" in given:
            self._helm.limit_hours(hours)
        return "changed"

    def _hint(self, text: str) -> bool:
        text = clean_text(text).strip()
        if text:
            self._rooms.shelf.hint(text)
        return bool(text)

    def _told(self) -> str:
        if self._rooms.studio.operators:
            return "the operators are told"
        return "noted for language models, of which this run has none: `evo run --model NAME`"

    def _enqueue(self, request: Request, path: Path) -> str:
        title = request.arguments.get("title", "")
        if request.id in self._answered:
            return "proposed already"
        self._rooms.shelf.submit(request.id, title, request.arguments.get("text", ""))
        self._waiting.append(request.id)
        self._files[request.id] = path
        self._bulletin.say("enqueued", title or request.id)
        return "queued"

    def _note(self, request: Request, outcome: str) -> None:
        self._rooms.archive.record_request(
            id=request.id,
            verb=str(request.verb),
            arguments=request.arguments,
            who=request.who,
            asked_at=utc(request.at),
            done_at=utc(self._clock()),
            outcome=outcome,
        )


def _amount(given: dict[str, str], name: str) -> float | None:
    """A limit that may be any number; None without one.

    Raises:
        ValueError: It isn't a number, or not more than 0.
    """
    if given.get(name, NO_LIMIT) == NO_LIMIT:
        return None
    amount = float(given[name])
    if not 0 < amount < math.inf:
        raise ValueError("a limit must be more than 0")
    return amount
