"""Ablation: one earlier diff of a lineage is taken out again, to see whether it still earns its
lines.
"""

from __future__ import annotations

from evo.errors import MergeConflictError
from evo.nouns import Brief, Proposal
from evo.operators.operator import Shelf, refuse, settle
from evo.population.merge import merge


class Ablate:
    """Undoes the variant that `brief.subject` names in the variant `brief.parents[0]`.

    A diff is undone by a three-way merge whose ancestor is the version that has it and whose other
    side is the version before it.
    """

    name = "ablate"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "ablate takes a parent, but got none")
        try:
            undone = int(brief.subject)
            earlier = shelf.parents(undone)
        except (ValueError, KeyError):
            return refuse(brief, f"ablate takes the id of a variant, but got {brief.subject!r}")
        if not earlier:
            return refuse(brief, f"variant {undone} is the baseline: it has no diff to take out")
        ours, title = shelf.source(brief.parents[0]), f"Without: {shelf.title(undone)}"
        try:
            simpler = merge(shelf.source(undone), ours, shelf.source(earlier[0]))
        except MergeConflictError as error:
            return refuse(brief, f"later diffs build on it: {error}", title=title)
        rationale = (
            f"Takes the diff of variant {undone} out of variant {brief.parents[0]}, to see whether "
            "it still helps beside what came after it."
        )
        return settle(brief, ours, simpler, title=title, rationale=rationale)
