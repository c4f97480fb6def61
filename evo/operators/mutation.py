"""Mutation: a model changes one thing of one parent."""

from __future__ import annotations

from evo.nouns import Brief, Proposal
from evo.operators.authoring import Author, Draft
from evo.operators.edits import apply, read
from evo.operators.operator import Shelf, refuse

UNTITLED = "Untitled change"


class Mutate:
    """Has a model change the variant `brief.parents[0]`.

    Args:
        author: Asks models.
    """

    name = "mutate"

    def __init__(self, author: Author) -> None:
        self._author = author

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, f"{self.name} takes a parent, but got none")
        parent, editable = brief.parents[0], self._author.editable
        ours = shelf.source(parent)
        return self._author.write(
            brief,
            ours,
            self._author.dossier(parent, ours),
            lambda text: draft_of(text, ours, editable),
        )


def draft_of(text: str, source: str, editable: str, untitled: str = UNTITLED) -> Draft:
    """What an answer makes of a source.

    Raises:
        AnswerError: Nothing.
    """
    answer = read(text, editable)
    return Draft(answer.title or untitled, answer.rationale, apply(source, answer))
