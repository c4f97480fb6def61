"""The inbox: what people ask of a running engine, one file a request."""

from __future__ import annotations

import getpass
import os
import time
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from evo.errors import EvoError
from evo.text import clean_text

FOLDER = "inbox"
LAST_MOMENT = datetime(datetime.max.year, 1, 1, tzinfo=UTC).timestamp()
"""Unix seconds; the calendar that requests are recorded by ends soon after."""

REFUSED = "refused: "
"""How the outcome of a request begins that was refused."""


class Verb(StrEnum):
    """What can be asked."""

    STOP = "stop"
    """`how`: `finish` the running trials, or `now`."""
    ENQUEUE = "enqueue"
    """`title`, `text`: a patch, or a whole file, to be tried next."""
    PAUSE = "pause"
    """No new trial is started until `resume`."""
    RESUME = "resume"
    KILL = "kill"
    """`trial`: given up, and no fault of its variant."""
    PRUNE = "prune"
    """`trial`: given up as hopeless, which counts against its variant."""
    RETRY = "retry"
    """`variant`: run again next, as if for the first time."""
    REPLICATE = "replicate"
    """`variant`: measured once more, with a fresh seed."""
    PIN = "pin"
    """`variant`: stays among the parents; `off`: no longer."""
    BAN = "ban"
    """`variant`: is no parent any more; `off`: may be again."""
    HINT = "hint"
    """`text`: something that the operators are told from now on."""
    BUDGET = "budget"
    """`trials`, `hours`, `cost` (US dollars): how much more from now, or `none` for no limit."""
    SLOTS = "slots"
    """`count`: trials at a time, at most as many as the engine started with."""

    @property
    def needs_engine(self) -> bool:
        """Whether it means the engine that works now, and not the next one as well."""
        return self not in (
            Verb.ENQUEUE, Verb.HINT, Verb.RETRY, Verb.REPLICATE, Verb.PIN, Verb.BAN
        )  # fmt: skip


class RefusedError(EvoError):
    """What is asked of an engine can't be done, and why."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody asks."""

    id: str
    verb: Verb
    arguments: dict[str, str] = {}
    who: str = ""
    at: Annotated[float, Meta(ge=0, le=LAST_MOMENT)] = 0.0
    """Unix seconds."""


def ask(run_folder: Path, verb: Verb, **arguments: str) -> Request:
    """Puts a request into a run's inbox.

    Raises:
        OSError: It can't be written.
    """
    now = time.time()
    request = Request(
        id=f"{now:.6f}-{uuid.uuid4().hex[:8]}",
        verb=verb,
        arguments=arguments,
        who=_user(),
        at=now,
    )
    folder = run_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{request.id}.tmp"
    beside.write_bytes(msgspec.json.encode(request))
    beside.rename(folder / f"{request.id}.json")
    return request


def _user() -> str:
    """The name of whoever asks, or the number where no name is known."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def as_line(request: Request) -> str:
    """How an engine's log names a request, before what came of it."""
    what = " ".join([request.verb, *map(clean_text, request.arguments.values())])
    return clean_text(" ".join(f"{request.who}: {what}:".splitlines()))


def take(run_folder: Path) -> list[tuple[Path, Request | None]]:
    """Requests in the order in which they were asked, with their files; None for nonsense.

    The caller removes each file when the request has been dealt with. One that can't be read now,
    be it for want of file handles, is left for another time: it may be somebody's idea.
    """
    found: list[tuple[Path, Request | None]] = []
    try:
        paths = sorted((run_folder / FOLDER).glob("*.json"))
    except OSError:
        return found
    for path in paths:
        try:
            found.append((path, msgspec.json.decode(path.read_bytes(), type=Request)))
        except OSError:
            continue
        except (msgspec.MsgspecError, RecursionError):
            found.append((path, None))
    return found
