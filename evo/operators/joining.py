"""Joining: two versions become one child; git merges what merges, and a model decides the rest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from evo.nouns import Brief, Outcome, Proposal
from evo.operators.authoring import Author, Draft
from evo.operators.crossover import Crossover
from evo.operators.edits import AnswerError, fences, headers, normal
from evo.operators.operator import Shelf, refuse
from evo.operators.prompts import Hunk
from evo.population.conflicts import Conflict, conflicts, resolve

MOST_HUNKS = 12
"""More of them are a rewrite, not a decision."""
_HUNK = re.compile(r"#* *\**Hunk (\d{1,4})\b", re.I)
_BARRED = re.compile(r"^│ ?", re.M)


class Cross:
    """Joins the variants of `brief.parents`, and has a model resolve what contradicts itself.

    Args:
        author: Asks models.
    """

    name = "cross"

    def __init__(self, author: Author) -> None:
        self._author, self._merge = author, Crossover()

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        merged = self._merge.propose(brief, shelf)
        if merged.outcome is not Outcome.MALFORMED or len(brief.parents) != 2:
            return merged
        one, two = brief.parents
        ours, theirs = shelf.source(one), shelf.source(two)
        pieces = conflicts(shelf.source(shelf.common_ancestor(one, two)), ours, theirs)
        found = [piece for piece in pieces if isinstance(piece, Conflict)]
        if not found:
            return merged  # the lines go together, what they mean doesn't
        if len(found) > MOST_HUNKS:
            return refuse(brief, f"the two contradict each other in {len(found)} places")
        book = self._author.casebook
        dossier = replace(
            self._author.dossier(one, ours),
            other=book.case(two),
            hunks=[Hunk(each.ours, each.base, each.theirs) for each in found],
            lineage=(),
            inspirations=(),
        )
        return self._author.write(
            brief, ours, dossier, lambda text: _draft(text, pieces, len(found), merged.title)
        )


def _draft(text: str, pieces: Sequence[str | Conflict], count: int, title: str) -> Draft:
    """The child that an answer's resolutions make.

    Raises:
        AnswerError: One is missing.
    """
    text = normal(text)
    headed = ((_HUNK.match(fence.heading), fence.body) for fence in fences(text))
    answers = {int(found[1]): _bare(body) for found, body in headed if found}
    missing = [str(number) for number in range(1, count + 1) if number not in answers]
    if missing:
        raise AnswerError(
            f"hunk {', '.join(missing)} of {count} has no resolution in the answer",
            "## Hunk 1\n```\nthe lines that are to stand there\n```",
        )
    said, rationale = headers(text)
    source = resolve(pieces, [answers[number] for number in range(1, count + 1)])
    return Draft(said or title, rationale, source)


def _bare(text: str) -> str:
    """Lines without the bars that some models copy along."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _BARRED.sub("", text) if lines and all(map(_BARRED.match, lines)) else text
