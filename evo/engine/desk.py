"""The desk: turns briefs into proposals that are worth a trial, on threads of its own.

An operator answers, the text is screened, compared with everything that was tried, and rehearsed
with tiny shapes. What doesn't get through is a proposal too, with the reason.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from evo.arena.referee_process import RefereeProcess
from evo.arena.worker import Answer, Check, Checked, Failed, Setup
from evo.errors import ArchiveError, ArenaError, PopulationError
from evo.nouns import Brief, Outcome, Proposal, Recipe
from evo.operators.operator import Operator, Shelf
from evo.operators.screening import fingerprint, screen

ATTEMPTS = 2
"""A referee that is lost is replaced so many times before a rehearsal is given up."""


class Rehearsal:
    """Preflight's own referee: one question at a time, asked from any thread."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._referee: RefereeProcess | None = None
        self._closed = False
        self._lock = threading.Lock()

    def check(self, source: str) -> str:
        """Why a variant would fail, or nothing.

        Raises:
            ArenaError: It can't be found out.
        """
        with self._lock:
            cause = ""
            for _ in range(ATTEMPTS):
                if self._referee is None:
                    self._answers = queue.SimpleQueue()
                    self._referee = RefereeProcess(self._setup, self._answers.put)
                if self._closed:
                    self._referee.close()
                    raise ArenaError("preflight is over")
                self._referee.request(Check(source))
                answer = self._answers.get()
                if isinstance(answer, Checked):
                    return answer.cause
                cause = getattr(answer, "cause", "")
                self._referee.close()
                self._referee = None
            raise ArenaError(f"preflight can't run: {cause}")

    def close(self) -> None:
        """Ends the referee, and with it a rehearsal that runs."""
        self._closed = True
        # Without the lock, which a rehearsal holds while it waits for an answer. A referee that
        # had to be killed gives none.
        if self._referee is not None:
            self._referee.close()
            self._answers.put(Failed("preflight is over"))


class Desk:
    """Makes proposals of briefs.

    Args:
        operators: By name.
        shelf: Where operators find sources.
        recipe: What the text is screened for.
        rehearsal: The dry run; None skips it (a command task has nothing to rehearse).
        known: Variants by fingerprint; read here, kept by the engine.
        on_proposal: Called with every finished proposal and the fingerprint of its text, on a
            thread of the desk.
        on_failure: Called with what kept a brief from being answered where that is no fault of the
            operator's, such as a store that can't be read or a full disk; also on such a thread.
        threads: How many briefs are worked on at a time.
    """

    def __init__(
        self,
        *,
        operators: Mapping[str, Operator],
        shelf: Shelf,
        recipe: Recipe,
        rehearsal: Rehearsal | None,
        known: Mapping[str, int],
        on_proposal: Callable[[Proposal, str], None],
        on_failure: Callable[[Exception], None],
        threads: int,
    ) -> None:
        self._operators, self._shelf, self._recipe = operators, shelf, recipe
        self._rehearsal, self._known = rehearsal, known
        self._on_proposal, self._on_failure = on_proposal, on_failure
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="desk")

    def take(self, brief: Brief) -> None:
        """Starts on a brief; its proposal comes through `on_proposal`, if no store fails."""
        self._pool.submit(self._work, brief)

    def close(self) -> None:
        """Gives up what isn't finished."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._rehearsal is not None:
            self._rehearsal.close()

    def _work(self, brief: Brief) -> None:
        began = time.monotonic()
        try:
            proposal, mark = self._propose(brief)
        except (OSError, PopulationError, ArchiveError) as error:
            self._on_failure(error)
            return
        except Exception as error:
            # A bug in an operator costs one proposal, not the search.
            proposal = _refusal(brief, f"{type(error).__name__}: {error}")
            mark = ""
        self._on_proposal(replace(proposal, seconds=time.monotonic() - began), mark)

    def _propose(self, brief: Brief) -> tuple[Proposal, str]:
        proposal = self._operators[brief.operator].propose(brief, self._shelf)
        if proposal.outcome is not Outcome.ACCEPTED or proposal.source is None:
            return proposal, ""
        cause = screen(proposal.source, self._recipe)
        if cause is not None:
            return replace(proposal, outcome=Outcome.PREFLIGHT_FAILED, cause=cause), ""
        mark = fingerprint(proposal.source)
        twin = self._known.get(mark)
        if twin is not None:
            own = twin in proposal.parents
            outcome = Outcome.NO_OP if own else Outcome.DUPLICATE
            what = "its parent" if own else f"variant {twin}, whose result stands for it"
            return replace(proposal, outcome=outcome, cause=f"it equals {what}", twin=twin), mark
        cause = self._rehearse(proposal.source)
        if cause:
            return replace(proposal, outcome=Outcome.PREFLIGHT_FAILED, cause=cause), mark
        return proposal, mark

    def _rehearse(self, source: str) -> str:
        try:
            return self._rehearsal.check(source) if self._rehearsal else ""
        except ArenaError:
            return ""  # not the proposal's fault: the trial will tell


def _refusal(brief: Brief, cause: str) -> Proposal:
    return Proposal(
        id=brief.id,
        operator=brief.operator,
        parents=brief.parents,
        subject=brief.subject,
        role=brief.role,
        model=brief.model,
        outcome=Outcome.MALFORMED,
        cause=cause,
    )
