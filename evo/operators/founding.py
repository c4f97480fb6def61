"""Founding: a patch of the gene pool is grafted on a variant."""

from __future__ import annotations

from evo.errors import MergeConflictError, PatchError
from evo.nouns import Brief, Proposal
from evo.operators.operator import Shelf, refuse, settle
from evo.patch import apply
from evo.population.merge import merge

BASELINE = 0


class Founder:
    """Grafts the founder that `brief.subject` names on the variant `brief.parents[0]`.

    Founders are written against the baseline; on any other variant they are merged.
    """

    name = "founder"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "founder takes a parent, but got none")
        try:
            patch = shelf.founder(brief.subject)
        except KeyError:
            return refuse(brief, f"there is no founder {brief.subject!r} in population/founders")
        ours = shelf.source(brief.parents[0])
        try:
            grafted = graft(patch.diff, ours, shelf.source(BASELINE))
        except (MergeConflictError, PatchError) as error:
            return refuse(brief, f"founder {patch.name}: {error}", title=patch.title)
        return settle(brief, ours, grafted, title=patch.title, rationale=patch.rationale)


def graft(diff: str, ours: str, baseline: str) -> str:
    """A variant with a diff that was made against the baseline.

    Raises:
        PatchError: The diff doesn't fit the baseline.
        MergeConflictError: The variant has changed the same things.
    """
    return merge(baseline, ours, apply(baseline, diff))
