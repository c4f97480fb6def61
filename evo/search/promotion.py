"""Promotion: when a challenger is proven better than the champion, and when the champion goes back.

Whoever is promoted was selected, and selection picks luck (the winner's curse). So a challenger is
proven only if it is better with enough probability on all evidence, and still is when the trial
that selected it is left out, and when the one that speaks most against the champion is left out: no
single number decides. Noise is an estimate too, and promotions come when it happens to look small;
hence Student's t (Gosset 1908), with fewer degrees of freedom than there are replicates.
"""

from __future__ import annotations

import math

from scipy.special import stdtr

from evo.search.estimates import Estimates
from evo.search.ledger import Entry

FREEDOM = 0.5
"""Degrees of freedom for a replicate: less than one, for noise is judged when it looks smallest."""
LEFT_OUT = 0.9
"""Probability of being better that is left when the trial that decides most is left out."""
DOUBT = 0.3
"""Probability of being better than the champion before it, below which a champion goes back."""


def is_proven(of: Estimates, challenger: Entry, champion: Entry, confidence: float) -> bool:
    """Whether what is known proves a challenger better than the champion.

    Args:
        of: What is believed.
        challenger: With at least one score, the first of which selected it.
        champion: With at least one score.
        confidence: Probability that all evidence together has to give.
    """
    ours, theirs = challenger.variant.id, champion.variant.id
    gap, std = of.difference_without(theirs, ours, max(champion.losses))
    return (
        _better(of, *of.difference(ours, theirs)) >= confidence
        and _better(of, *of.difference_without(ours, theirs, challenger.losses[0])) >= LEFT_OUT
        and _better(of, -gap, std) >= LEFT_OUT
    )


def is_doubtful(of: Estimates, champion: int, former: int) -> bool:
    """Whether later evidence says that a promotion was wrong."""
    return _better(of, *of.difference(champion, former)) < DOUBT


def _better(of: Estimates, gap: float, std: float) -> float:
    """Probability that a difference with such a mean and standard deviation is above 0."""
    if std <= 0 or not math.isfinite(std):
        return float(gap > 0)
    return float(stdtr(max(FREEDOM * of.freedom, 1.0), gap / std))
