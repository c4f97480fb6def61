"""Crossover: the changes of several versions since their common ancestors, in one child."""

from __future__ import annotations

from evo.errors import MergeConflictError
from evo.nouns import Brief, Outcome, Proposal
from evo.operators.operator import TITLE_WIDTH, Shelf, refuse, settle, shorten
from evo.population.merge import merge


class Crossover:
    """Merges the other parents' changes into the first, one after the other, without a model."""

    name = "crossover"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if len(brief.parents) < 2:
            return refuse(brief, f"crossover takes two parents, but got {len(brief.parents)}")
        first, *mates = brief.parents
        width = (TITLE_WIDTH - len(" + ") * len(mates)) // len(brief.parents)
        title = " + ".join(shorten(shelf.title(parent), width) for parent in brief.parents)
        child, joined = shelf.source(first), [first]
        for mate in mates:
            before, theirs = child, shelf.source(mate)
            ancestor = max(shelf.common_ancestor(one, mate) for one in joined)
            try:
                child = merge(shelf.source(ancestor), before, theirs)
            except MergeConflictError as error:
                return refuse(brief, str(error), title=title)
            if child == theirs != before:
                cause = (
                    f"the child equals variant {mate}, which has all that {named(joined)} change"
                )
                return refuse(brief, cause, outcome=Outcome.NO_OP, title=title)
            joined.append(mate)
        rationale = f"Joins what {named(joined)} changed since their common ancestors."
        return settle(brief, shelf.source(first), child, title=title, rationale=rationale)


def named(variants: list[int]) -> str:
    """Variants by number, in words."""
    *others, last = map(str, variants)
    return f"variants {', '.join(others)} and {last}" if others else f"variant {last}"
