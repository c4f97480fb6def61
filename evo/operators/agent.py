"""The agent: any coding agent's command line, which edits the file in a scratch folder of its own.

It runs behind the walls of a trial, with what its outfit names beside. It gets the brief on
standard input, and what it leaves in the file is the proposal.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec

from evo.arena.job import NONSENSE
from evo.arena.rules import EndedError, check_memory
from evo.config import AgentSettings
from evo.errors import ArenaError
from evo.models.model import ModelError
from evo.models.purse import SpentError
from evo.models.roster import Bill, Occasion
from evo.nouns import Brief, CallOutcome, Outcome, Proposal
from evo.operators import prompts
from evo.operators.authoring import Author
from evo.operators.operator import Shelf, refuse, settle
from evo.operators.outfit import Outfit, charge
from evo.program import Skill
from evo.sandbox import leavings
from evo.sandbox.sandbox import Cell, Limits, TierSandbox
from evo.text import clean_text, hide, redact

BRIEF, NOTE = "BRIEF.md", "PROPOSAL.md"
"""Files in its folder: what it is told, and where it may say `Title:` and `Rationale:`."""
TICK_SECONDS = 0.05
THREADS = 1
MOST_CAUSE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Work:
    """What an agent left behind."""

    cause: str = ""
    """Why it is of no use; empty if it isn't known to be."""
    outcome: CallOutcome = CallOutcome.ANSWERED
    files: dict[str, str] = field(default_factory=dict)
    printed: str = ""


class Agent:
    """Has a command line change the variant `brief.parents[0]`.

    Args:
        settings: Its time and its limits.
        outfit: Its command, and what it is given.
        author: Knows the program and the history.
        sandbox: How it is started: with what the outfit names, and the network if that is allowed.
        say: Told what people should know.
    """

    name = "agent"

    def __init__(
        self,
        settings: AgentSettings,
        outfit: Outfit,
        author: Author,
        sandbox: TierSandbox,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._settings, self._outfit, self._author = settings, outfit, author
        self._sandbox, self._say = sandbox, say
        self._complained = False

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "agent takes a parent, but got none")
        author, skill, outfit = self._author, self._author.program(), self._outfit
        ours = shelf.source(brief.parents[0])
        role = brief.role if brief.role in skill.roles else ""
        told = self.told(brief, shelf, skill)
        files = {author.editable: ours, BRIEF: told, "program.md": skill.program.text}
        occasion = Occasion(brief.id, self.name, role, skill.program.sha, outfit.name)
        try:
            estimate = self._settings.usd_per_call
            with author.roster.billed(occasion, outfit.name, estimate) as bill:
                work = self._work(files, told)
                proposal = self._read(brief, ours, work)
                self._charge(bill, work, proposal)
            self._rate(work)
        except SpentError as error:
            proposal = refuse(brief, str(error))
        return replace(
            proposal,
            role=role,
            model=outfit.name,
            program_sha=skill.program.sha,
            cost_usd=author.roster.take_bill(brief.id),
        )

    def told(self, brief: Brief, shelf: Shelf, skill: Skill) -> str:
        """What it is told on its standard input."""
        author = self._author
        role = brief.role if brief.role in skill.roles else ""
        dossier = author.dossier(brief.parents[0], shelf.source(brief.parents[0]))
        messages = prompts.compose(self.name, role, skill, author.situation, dossier)
        told = "\n\n".join(message.text for message in messages)
        return f"{told}\n\nWrite `Title: ...` and `Rationale: ...` into {NOTE} when you are done."

    def _read(self, brief: Brief, ours: str, work: Work) -> Proposal:
        """The proposal that its work makes."""
        editable = self._author.editable
        after = work.files.get(editable)
        last = [line for line in work.printed.splitlines() if line.strip()]
        said = f": {last[-1].strip()}" if last else ""
        if work.cause:
            return refuse(brief, f"the agent {work.cause}{said}"[:MOST_CAUSE_CHARACTERS])
        if after is None:
            return refuse(brief, f"the agent left no file {editable} that can be read")
        title, rationale = _headers(redact(work.files.get(NOTE, ""), self._outfit.variables))
        proposal = settle(brief, ours, after, title=title, rationale=rationale)
        if proposal.outcome is Outcome.NO_OP and said:
            cause = f"{proposal.cause}; the agent's last words{said}"
            return replace(proposal, cause=cause[:MOST_CAUSE_CHARACTERS])
        return proposal

    def _charge(self, bill: Bill, work: Work, proposal: Proposal) -> None:
        """Puts on the bill what it says that it took, or what the settings say."""
        said = charge(work.printed, self._outfit.cost)
        bill.tokens_in, bill.tokens_out = said.tokens_in, said.tokens_out
        bill.cost_usd = self._settings.usd_per_call if said.usd is None else said.usd
        bill.outcome, bill.cause = work.outcome, proposal.cause
        if proposal.outcome is not Outcome.ACCEPTED and work.outcome is CallOutcome.ANSWERED:
            bill.outcome = CallOutcome.UNUSABLE
        if bill.cost_usd is None and not self._complained:
            self._complained = True
            self._say(
                f"nobody knows what a run of {self._outfit.name} costs, so --cost doesn't count "
                "it: set tool.evo.agent.cost to find its bill, or usd_per_call"
            )

    def _rate(self, work: Work) -> None:
        """An agent that keeps failing is rested, as a model is; a poor proposal is no failure."""
        roster = self._author.roster
        if not work.cause:
            roster.answered(self._outfit.name)
        elif work.outcome is not CallOutcome.ABANDONED:
            said = f"it {work.cause}"
            roster.failed(self._outfit.name, ModelError(said, work.outcome))

    def _work(self, files: dict[str, str], told: str) -> Work:
        """Has it work in a cell of its own."""
        if self._author.roster.is_closed:
            return Work("was not started: the engine ends", CallOutcome.ABANDONED)
        limits = Limits(memory_mb=self._settings.memory_mb)
        shared = not self._sandbox.tier.private
        words, names = self._outfit.words, (self._author.editable, NOTE)
        try:
            cell = self._sandbox.start(
                # In a shared view only a cell's first program sees its own /proc entry.
                words if shared else leavings.around(names, words),
                limits=limits,
                threads=THREADS,
                files=files,
                merge_output=shared,
                variables=self._outfit.variables,
            )
        except ArenaError as error:
            return Work(f"had no cell to work in: {error}", CallOutcome.OVERLOADED)
        try:
            work = self._await(cell, told)
            if cell.scratch is not None:
                left = dict[str, str]()
                with suppress(OSError):  # it may have shut its own folder
                    left = leavings.read(str(cell.scratch), names)
                work = replace(work, files=left)
        finally:
            cell.end()
        # An agent knows keys, and runs what it was told to improve: neither leaves its cell.
        known = self._outfit.variables
        files = {name: hide(text, known) for name, text in work.files.items()}
        printed = redact(clean_text(cell.log.tail(limits.log_bytes)), known)
        return replace(work, files=files, printed=printed)

    def _await(self, cell: Cell, told: str) -> Work:
        """Waits for its end, which comes at the latest when it crosses a limit."""
        said = bytearray()
        pipes = [
            threading.Thread(target=_write_all, args=(cell.inbound, told), daemon=True),
            threading.Thread(target=_read_all, args=(cell.outbound, said), daemon=True),
        ]
        for pipe in pipes:
            pipe.start()
        cause, outcome, files = "", CallOutcome.ANSWERED, dict[str, str]()
        deadline = time.monotonic() + self._settings.timeout_seconds
        while cell.poll() is None and not cause:
            cause, outcome = self._excess(cell, deadline)
            time.sleep(TICK_SECONDS)
        status = cell.poll()
        if not cause and status:
            cause, outcome = f"ended with exit status {status}", CallOutcome.UNUSABLE
        cell.kill()
        for pipe in pipes:
            pipe.join()
        with suppress(*NONSENSE):
            files = msgspec.json.decode(bytes(said), type=dict[str, str])
        return Work(cause, outcome, files)

    def _excess(self, cell: Cell, deadline: float) -> tuple[str, CallOutcome]:
        """Why it is ended now; nothing if it isn't."""
        seconds = self._settings.timeout_seconds
        if time.monotonic() > deadline:
            return f"took more than {seconds:g} s", CallOutcome.TIMED_OUT
        if self._author.roster.is_closed:
            return "was ended with the engine", CallOutcome.ABANDONED
        try:
            check_memory(cell, self._settings.memory_mb)
        except (EndedError, ArenaError) as error:
            return f"was ended: {error}", CallOutcome.UNUSABLE
        return "", CallOutcome.ANSWERED


def _write_all(descriptor: int, text: str) -> None:
    """Writes the brief to the agent's standard input and closes it."""
    left = text.encode("utf-8", "replace")
    with suppress(OSError):  # it doesn't read, or is gone
        while left:
            left = left[os.write(descriptor, left) :]
    # The cell closes its descriptor at its end: until then it leads nowhere.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _read_all(descriptor: int, said: bytearray) -> None:
    """Reads what comes, up to what two files may hold and JSON makes of them."""
    with suppress(OSError):
        while data := os.read(descriptor, 1 << 16):
            if len(said) < 12 * leavings.MOST_BYTES:
                said += data


def _headers(note: str) -> tuple[str, str]:
    """Title and rationale of what the agent said at the end."""
    said = {"title": "", "rationale": ""}
    key = ""
    for line in clean_text(note).splitlines():
        name, colon, rest = line.strip("#* ").partition(":")
        if colon and name.strip("* ").lower() in said:
            key = name.strip("* ").lower()
            said[key] = rest.strip("* ")
        elif key:
            said[key] = f"{said[key]} {line.strip()}".strip()
    return said["title"] or "By an agent", said["rationale"]
