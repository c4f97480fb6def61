"""Authoring: a model is asked for a text, and told once what is wrong with it, and once that it was
tried before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from evo.errors import ArchiveError, PopulationError
from evo.models.model import Message, Reply
from evo.models.roster import NoAnswerError, Occasion, Roster
from evo.nouns import Brief, Proposal
from evo.operators import prompts
from evo.operators.casebook import Case, Casebook
from evo.operators.edits import AnswerError
from evo.operators.likeness import nearly_same
from evo.operators.operator import refuse, settle
from evo.operators.prompts import Dossier, Situation
from evo.operators.screening import screen
from evo.patch import diff
from evo.population.syntax import SourceError
from evo.program import Skill

MOST_ATTEMPTS_TOLD = 60
MOST_INSPIRATIONS = 3
NEAR_ATTEMPTS = 40
"""Attempts on a variant and its relatives that a change is compared with."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What an answer makes of the text that it was asked about."""

    title: str
    rationale: str
    source: str


Read = Callable[[str], Draft]
"""Makes a draft of an answer; raises AnswerError where there is none in it."""


@dataclass(slots=True)
class Talk:
    """One conversation with models about one brief."""

    occasion: Occasion
    messages: list[Message]
    answered_by: str = ""
    told: set[str] = field(default_factory=set)
    """Objections that were made, by kind; each is made once."""


class Author:
    """Has texts written by models.

    Args:
        roster: Whom it asks.
        casebook: Measurements and history.
        program: Gives program.md as it is now.
        situation: The task and the hardware.
    """

    def __init__(
        self,
        roster: Roster,
        casebook: Casebook,
        program: Callable[[], Skill],
        situation: Situation,
    ) -> None:
        self.roster, self.casebook, self.program = roster, casebook, program
        self.situation = situation

    @property
    def editable(self) -> str:
        return self.situation.task.editable

    def dossier(self, variant: int, source: str) -> Dossier:
        """What is known of a variant that is to be changed."""
        book = self.casebook
        return Dossier(
            source=source,
            case=book.case(variant),
            lineage=book.lineage(variant),
            attempts=book.attempts(variant, MOST_ATTEMPTS_TOLD),
            inspirations=book.inspirations(variant, MOST_INSPIRATIONS),
            hints=book.hints(),
        )

    def write(self, brief: Brief, ours: str, dossier: Dossier, read: Read) -> Proposal:
        """The proposal that models make of a dossier.

        Args:
            brief: What is asked.
            ours: The text that is changed.
            dossier: What models are told.
            read: Makes a text of an answer.
        """
        skill = self.program()
        role = brief.role if brief.role in skill.roles else ""
        occasion = Occasion(
            proposal=brief.id,
            operator=brief.operator,
            role=role,
            program_sha=skill.program.sha,
            model=brief.model,
            seed=brief.seed,
        )
        messages = prompts.compose(brief.operator, role, skill, self.situation, dossier)
        talk = Talk(occasion, messages)
        try:
            made = self._converse(brief, ours, talk, read)
        except (OSError, PopulationError, ArchiveError):
            raise  # of a store, which the operator has no part in
        except Exception as error:  # ours, and no reason not to book what was paid
            made = refuse(brief, f"bug: {error!r}")
        return replace(
            made,
            role=role,
            model=talk.answered_by or brief.model,
            program_sha=skill.program.sha,
            cost_usd=self.roster.take_bill(brief.id),
        )

    def _converse(self, brief: Brief, ours: str, talk: Talk, read: Read) -> Proposal:
        draft: Draft | AnswerError | None = None
        cause = ""

        def useful(text: str) -> bool:
            nonlocal draft
            draft = _draft(read, text)
            return isinstance(draft, Draft)

        while True:
            try:
                reply = self.roster.ask(talk.messages, talk.occasion, useful)
            except NoAnswerError as error:
                cause = cause or str(error)
                break
            talk.answered_by, objection = reply.model, None
            if isinstance(draft, Draft):
                objection, cause = self._objection(brief, ours, draft, talk), ""
            elif isinstance(draft, AnswerError):
                cause = str(draft)
                if "form" not in talk.told:
                    talk.told.add("form")
                    objection = prompts.objection(cause, draft.advice)
            if objection is None:
                break
            talk.messages += [Message("assistant", _quoted(reply)), objection]
        if not isinstance(draft, Draft):
            return refuse(brief, cause)
        return settle(brief, ours, draft.source, title=draft.title, rationale=draft.rationale)

    def _objection(self, brief: Brief, ours: str, draft: Draft, talk: Talk) -> Message | None:
        """What is to be said against a draft; None if nothing is, or it was said before."""
        if "form" not in talk.told:
            cause = "nothing changes" if draft.source == ours else self._broken(draft.source)
            if cause:
                talk.told.add("form")
                return prompts.objection(cause, "")
        if "tried" not in talk.told:
            found = self._tried(brief, ours, draft.source)
            if found is not None:
                talk.told.add("tried")
                case, near = found
                return prompts.duplicate(case, self.situation, near=near)
        return None

    def _broken(self, source: str) -> str:
        return screen(source, self.situation.task.recipe) or ""

    def _tried(self, brief: Brief, ours: str, source: str) -> tuple[Case, bool] | None:
        """The variant that is the same, or nearly, and whether it is only nearly."""
        try:
            twin = self.casebook.twin(source)
        except SourceError:
            return None
        if twin is not None and twin.variant not in brief.parents:
            return twin, False
        if source == ours or len(brief.parents) != 1:
            return None
        change = diff(ours, source)
        for attempt in self.casebook.attempts(brief.parents[0], NEAR_ATTEMPTS):
            case = attempt.case
            if case is not None and len(case.parents) == 1 and nearly_same(change, case.diff):
                return case, True
        return None


def _draft(read: Read, text: str) -> Draft | AnswerError:
    try:
        return read(text)
    except AnswerError as error:
        return error


def _quoted(reply: Reply) -> str:
    """An answer as part of the conversation: a flood is of no use there."""
    return reply.text[:20_000] or "(nothing)"
