"""The reception: takes what people ask of an engine, and keeps each idea until it is proposed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from evo.engine import inbox
from evo.engine.bulletin import Bulletin, Rooms
from evo.engine.inbox import Request, Verb
from evo.nouns import Proposal

HUMAN = "human"
"""Operator of what people hand in; a proposal's subject is the request's id."""


class Reception:
    """Empties the inbox. An idea's file stays there until its proposal is recorded, so that no
    end of an engine can lose it.

    Args:
        rooms: The engine's stores.
        bulletin: Where people are told.
        clock: Unix seconds.
        stop: Called with the wish that the engine ends.
    """

    def __init__(
        self,
        rooms: Rooms,
        bulletin: Bulletin,
        clock: Callable[[], float],
        stop: Callable[[Request], None],
    ) -> None:
        self._rooms, self._bulletin, self._clock, self._stop = rooms, bulletin, clock, stop
        self._began = clock()
        self._waiting: deque[str] = deque()
        self._files: dict[str, Path] = {}
        self._answered: set[str] = set()

    def take(self) -> None:
        """Does what was asked since the last time."""
        for path, request in inbox.take(self._rooms.folder):
            if request is None:
                self._bulletin.say("request", f"{path.name} makes no sense and is dropped")
                path.unlink(missing_ok=True)
            elif request.id not in self._files:
                self._note(request, self._obey(request, path))
                if request.id not in self._files:
                    path.unlink(missing_ok=True)

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

    def _obey(self, request: Request, path: Path) -> str:
        title = request.arguments.get("title", "")
        if request.verb is Verb.STOP:
            if request.at < self._began:
                return "meant an engine that has ended"
            self._stop(request)
            return "stopping"
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
            asked_at=_utc(request.at),
            done_at=_utc(self._clock()),
            outcome=outcome,
        )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
