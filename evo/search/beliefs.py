"""Beliefs: the estimates, fed with what a search is told, in terms of variants and their diffs.

A variant carries the diffs of its first parent and its own; an ablation its parent's but for one;
a merge what git makes of both (see `heredity`). A founder is the same diff wherever it is grafted,
and so is a change of the same lines.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import islice

from evo.nouns import Direction, Trial, Variant
from evo.search.estimates import Estimates
from evo.search.heredity import Heredity

LATEST = 32
"""Diffs of an operator that say what another one of it would do."""
HEAVY_TAIL = 1.5
"""By how much more than its spread says an untried founder may bring: in a gene pool, few founders
are worth more than all others."""
PRIOR_DIFFS = 4.0
"""Diffs of any operator that these are shrunk by."""


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
        self._heredity = Heredity(self._carried)
        self._made: dict[str, list[str]] = {}  # new diffs, by operator
        self._unknown: dict[str, tuple[float, float]] = {}  # by operator, since the last trial

    def add_variant(self, variant: Variant) -> None:
        self._unknown.clear()
        carried = self.joined(variant.parents)
        if len(variant.parents) == 1:
            if variant.operator == "ablate":
                carried -= {self._own.get(int(variant.subject), "")}
            else:
                named = f"founder {variant.subject}"
                own = named if variant.operator == "founder" else name_of(variant.diff)
                own = own or f"v{variant.id}"
                if not self._estimates.knows(own):
                    self._made.setdefault(variant.operator, []).append(own)
                self._own[variant.id] = own
                carried |= {own}
        self._heredity.add(variant.id, variant.parents, carried)
        alone = frozenset({f"v{variant.id}"} if variant.id else ())
        self._estimates.add_variant(variant.id, carried if self._kin else alone)

    def add_trial(self, trial: Trial) -> None:
        """Takes in a finished trial; one without a score says nothing of a loss."""
        if trial.score is not None:
            self._unknown.clear()
            self._estimates.add_trial(trial.variant, self._direction.loss(trial.score))

    def add_guess(self, variant: int, loss: float, std: float) -> None:
        """Takes in what a trial that was stopped early would have come to, give or take `std`."""
        self._unknown.clear()
        self._estimates.add_trial(variant, loss, std)

    def forget(self, variant: int) -> None:
        """Takes back all that trials of a variant have said, of it and of its relatives."""
        self._unknown.clear()
        self._estimates.forget(variant)

    def carried(self, variant: int) -> frozenset[str]:
        """Names of the diffs in a variant."""
        return self._carried[variant]

    def joined(self, parents: Sequence[int]) -> frozenset[str]:
        """Names of the diffs in a merge of variants."""
        return self._heredity.joined(parents)

    def own(self, variant: int) -> str:
        """Name of the diff that a variant brought; empty for the baseline, merges, ablations."""
        return self._own.get(variant, "")

    def unknown(self, operator: str) -> tuple[float, float]:
        """What a diff that was never tried does to the loss: mean and standard deviation.

        As the operator's latest diffs do (the mean of their posterior means; their variance around
        it and their own, by the law of total variance), shrunk to what all diffs do by a few.
        """
        if operator not in self._unknown:
            of, spread = self._estimates, self._estimates.variances.effect
            overall = of.mean_effect()
            tried = filter(of.is_tried, reversed(self._made.get(operator, [])))
            known = [of.effect(diff) for diff in islice(tried, LATEST)]
            weight = PRIOR_DIFFS + len(known)
            mean = (PRIOR_DIFFS * overall + sum(one for one, _ in known)) / weight
            around = sum((one - mean) ** 2 + std**2 for one, std in known)
            variance = (PRIOR_DIFFS * ((overall - mean) ** 2 + spread**2) + around) / weight
            self._unknown[operator] = mean, math.sqrt(variance)
        return self._unknown[operator]

    def brings(self, operator: str, parents: Sequence[int], subject: str) -> tuple[float, float]:
        """What a child would add to the loss of its first parent: mean and standard deviation.

        Where it only joins diffs that were tried, or leaves one out, that is certain: it can be
        done at any time, so what may come of it beyond the mean is no reason to do it now. What a
        single diff does where it is tried next is worth knowing from now on.
        """
        of, ours = self._estimates, self._carried[parents[0]]
        match operator:
            case "ablate":
                return -of.effect(self._own[int(subject)])[0], 0.0
            case "crossover":
                child = self.joined(parents)
                gone, added = of.effect(*sorted(ours - child)), of.effect(*sorted(child - ours))
                return added[0] - gone[0], 0.0
            case "founder" if of.is_tried(f"founder {subject}"):
                mean, std = of.effect(f"founder {subject}")
            case "founder":
                mean, std = self.unknown(operator)
                std *= HEAVY_TAIL
            case _:
                mean, std = self.unknown(operator)
        return mean, math.hypot(std, of.variances.interaction)

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
