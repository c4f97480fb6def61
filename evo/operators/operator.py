"""What an operator is: it is asked by a brief, reads the shelf, and answers with a proposal.

Material that doesn't work out is an answer too: a proposal says what became of it and why. Only a
store that fails raises.
"""

from __future__ import annotations

from typing import Protocol

from evo.nouns import Brief, Outcome, Proposal
from evo.patch import FounderPatch
from evo.population.syntax import SourceError, tree_of
from evo.text import clean_text

TITLE_WIDTH = 72


class Shelf(Protocol):
    """What operators may read of the population. Asking for what isn't there is a KeyError."""

    def source(self, variant_id: int) -> str:
        """Text of a variant; 0 is the baseline."""

    def common_ancestor(self, a: int, b: int) -> int:
        """The latest variant that both descend from, or are."""

    def parents(self, variant_id: int) -> tuple[int, ...]:
        """Of a variant; none for the baseline."""

    def title(self, variant_id: int) -> str:
        """Of a variant."""

    def founder(self, name: str) -> FounderPatch:
        """A patch of the gene pool."""

    def submission(self, name: str) -> tuple[str, str]:
        """Title (may be empty) and text of what a person handed in."""


class Operator(Protocol):
    """Makes a version out of others. Equal briefs get equal proposals."""

    @property
    def name(self) -> str:
        """What briefs call it."""

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        """An accepted text, or a refusal with its cause; chance comes from `brief.seed` alone."""


def settle(brief: Brief, before: str, after: str, *, title: str, rationale: str) -> Proposal:
    """The proposal of a text: accepted, or refused if nothing changed or it isn't Python."""
    title = shorten(title, TITLE_WIDTH)
    if after == before:
        return refuse(brief, "nothing changes", outcome=Outcome.NO_OP, title=title)
    try:
        tree_of(after)
    except SourceError as error:
        return refuse(brief, str(error), title=title)
    return Proposal(
        id=brief.id,
        operator=brief.operator,
        parents=brief.parents,
        subject=brief.subject,
        outcome=Outcome.ACCEPTED,
        title=title,
        rationale=clean_text(rationale),
        source=after,
    )


def refuse(
    brief: Brief, cause: str, *, outcome: Outcome = Outcome.MALFORMED, title: str = ""
) -> Proposal:
    """The proposal of nothing, and why."""
    return Proposal(
        id=brief.id,
        operator=brief.operator,
        parents=brief.parents,
        subject=brief.subject,
        outcome=outcome,
        title=title,
        cause=" ".join(clean_text(cause).split()),
    )


def shorten(text: str, width: int) -> str:
    """One line of at most so many characters, safe to show."""
    line = " ".join(clean_text(text).split())
    return line if len(line) <= width else f"{line[: width - 3].rstrip()}..."
