"""Beliefs: the estimates, fed with what a search is told, in terms of variants and their diffs.

A variant carries the diffs of its first parent and its own; a merge carries those of both parents;
an ablation carries its parent's but for one. A founder is the same diff wherever it is grafted.
"""

from __future__ import annotations

from evo.nouns import Direction, Trial, Variant
from evo.search.estimates import Estimates


class Beliefs:
    """What is believed of every variant.

    Args:
        direction: Which way the metric improves.
    """

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._estimates = Estimates()
        self._carried: dict[int, frozenset[str]] = {}
        self._own: dict[int, str] = {}

    def add_variant(self, variant: Variant) -> None:
        carried = frozenset[str]().union(*(self._carried[one] for one in variant.parents))
        if len(variant.parents) == 1:
            if variant.operator == "ablate":
                carried -= {self._own.get(int(variant.subject), "")}
            else:
                name = f"founder {variant.subject}"
                self._own[variant.id] = name if variant.operator == "founder" else f"v{variant.id}"
                carried |= {self._own[variant.id]}
        self._carried[variant.id] = carried
        self._estimates.add_variant(variant.id, carried)

    def add_trial(self, trial: Trial) -> None:
        """Takes in a finished trial; one without a score says nothing of a loss."""
        if trial.score is not None:
            self._estimates.add_trial(trial.variant, self._direction.loss(trial.score))

    def carried(self, variant: int) -> frozenset[str]:
        """Names of the diffs in a variant."""
        return self._carried[variant]

    def own(self, variant: int) -> str:
        """Name of the diff that a variant brought; empty for the baseline, merges, ablations."""
        return self._own.get(variant, "")

    @property
    def of(self) -> Estimates:
        """The estimates themselves, by variant and by diff."""
        return self._estimates
