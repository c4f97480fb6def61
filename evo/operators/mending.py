"""Mending: a model repairs a proposal that broke by what looks like a slip."""

from __future__ import annotations

from dataclasses import replace

from evo.nouns import Brief, Proposal
from evo.operators.authoring import Author
from evo.operators.mutation import draft_of
from evo.operators.operator import Shelf, refuse


class Repair:
    """Has a model mend the proposal whose id is `brief.subject`.

    The mended text takes the place of the broken one: its parents are the broken one's.

    Args:
        author: Asks models.
    """

    name = "repair"

    def __init__(self, author: Author) -> None:
        self._author = author

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "repair takes the parents of what broke, but got none")
        try:
            failure = self._author.casebook.failure(int(brief.subject))
        except (ValueError, KeyError):
            return refuse(brief, f"there is nothing left to mend of the proposal {brief.subject!r}")
        parent, editable = brief.parents[0], self._author.editable
        dossier = replace(
            self._author.dossier(parent, shelf.source(parent)), failure=failure, lineage=()
        )
        title = f"{failure.title}, mended"
        return self._author.write(
            brief,
            failure.source,
            dossier,
            lambda text: draft_of(text, failure.source, editable, title),
        )
