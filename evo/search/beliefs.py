"""Beliefs: the estimates, fed with what a search is told, in terms of variants and their diffs.

A variant carries the diffs of its first parent and its own; a merge carries those of both parents;
an ablation carries its parent's but for one. A founder is the same diff wherever it is grafted, and
so is a change of the same lines.
"""

from __future__ import annotations

import hashlib

from evo.nouns import Direction, Trial, Variant
from evo.search.estimates import Estimates


class Beliefs:
    """What is believed of every variant.

    Args:
        direction: Which way the metric improves.
        kin: Whether relatives are evidence; without, a variant is judged by its own trials.
    """

    def __init__(self, direction: Direction, *, kin: bool = True) -> None:
        self._direction, self._kin = direction, kin
        self._estimates = Estimates()
        self._carried: dict[int, frozenset[str]] = {}
        self._own: dict[int, str] = {}

    def add_variant(self, variant: Variant) -> None:
        carried = frozenset[str]().union(*(self._carried[one] for one in variant.parents))
        if len(variant.parents) == 1:
            if variant.operator == "ablate":
                carried -= {self._own.get(int(variant.subject), "")}
            else:
                named = f"founder {variant.subject}"
                own = named if variant.operator == "founder" else name_of(variant.diff)
                self._own[variant.id] = own or f"v{variant.id}"
                carried |= {self._own[variant.id]}
        self._carried[variant.id] = carried
        alone = frozenset({f"v{variant.id}"} if variant.id else ())
        self._estimates.add_variant(variant.id, carried if self._kin else alone)

    def add_trial(self, trial: Trial) -> None:
        """Takes in a finished trial; one without a score says nothing of a loss."""
        if trial.score is not None:
            self._estimates.add_trial(trial.variant, self._direction.loss(trial.score))

    def add_guess(self, variant: int, loss: float, std: float) -> None:
        """Takes in what a trial that was stopped early would have come to, give or take `std`."""
        self._estimates.add_trial(variant, loss, std)

    def forget(self, variant: int) -> None:
        """Takes back all that trials of a variant have said, of it and of its relatives."""
        self._estimates.forget(variant)

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


def name_of(diff: str) -> str:
    """The same for the same change, wherever it is made; empty for none."""
    lines = [
        line[0] + line[1:].strip()
        for line in diff.splitlines()
        if line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- "))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else ""
