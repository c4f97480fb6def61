"""What is believed of every variant and of every diff, after all trials of it and of its relatives.

The animal model of quantitative genetics, with diffs for genes (Henderson 1975, "Best linear
unbiased estimation and prediction under a selection model"; Lynch and Walsh 1998, ch. 26):

    y_t = mu + m |D(v)| + sum over d in D(v) of e_d + i_v + noise_t

for a trial t of variant v that carries the diffs D(v): mu is the baseline's value, m the mean
effect of a diff, e_d ~ N(0, s_e^2) what a diff does beyond that, i_v ~ N(0, s_i^2) what a variant
is beyond the sum of its diffs (interactions), noise ~ N(0, s^2) one trial's. mu and m have vague
priors, so that what follows is the best linear unbiased prediction. Relatives share diffs, hence a
trial of one is evidence on the other; a lucky first number is shrunk towards what its family and
the mean diff let one expect.

With V the covariance of the trials and C that of variants with trials, the posterior mean is
C V^-1 (y - y0) and the posterior covariance K - C V^-1 C'. The Cholesky factor of V grows by a row
for a trial, and L^-1 C' by a row or a column, so that a trial costs O(n^2), not O(n^3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from evo.search.factor import Factor
from evo.search.variances import DISASTER, Variances, fit

Array = NDArray[np.float64]
VAGUE = 30.0
"""Prior standard deviations of mu and m, in standard deviations of the trials."""
MOST_FITTED = 250
"""Trials that variances are estimated from: the replicated ones first, then the latest."""
REFIT = 1.4
"""Variances are estimated anew when there are so many times more trials."""
LAST_REFIT = 800
"""Trials after which variances are known well enough to be left: a posterior under new ones costs
the cube of the trials."""
FEWEST = 4
"""Trials before variances are estimated at all."""


class Estimates:
    """Posterior of all variants of a search; told the same, it believes the same.

    Args:
        guess: The standard deviations before there is anything to estimate them from, relative to
            the first loss.
    """

    def __init__(self, guess: float = 0.005) -> None:
        self._guess = guess
        self._diffs: list[frozenset[str]] = []  # by variant, in the order in which they were added
        self._number: dict[int, int] = {}  # index by variant id
        # Who carries what, as pairs: of variants and diffs, hardly any is one.
        self._carriers = np.zeros(0, dtype=np.int64)  # index of a variant
        self._carried = np.zeros(0, dtype=np.int64)  # column of a diff that it carries
        self._column: dict[str, int] = {}  # by diff
        self._counts: Array = np.zeros(0)  # of diffs, by variant
        self._of = np.zeros(0, dtype=np.int64)  # index of the variant of each trial
        self._tried: set[str] = set()  # diffs that some trial's variant carries
        self._losses: list[float] = []
        self._origin = 0.0  # the baseline's first loss; until it has one, the first of all
        self._vague: list[float] = []  # variance of each loss beyond the noise of a trial
        self._fitted_at = 0
        self._known_effects: dict[tuple[str, ...], tuple[float, float]] = {}  # since the last trial
        self.variances = Variances(1.0, 0.3, 1.0, 1.0)
        self._factor = Factor()

    # What is told

    def add_variant(self, variant: int, diffs: Iterable[str]) -> None:
        """A variant and all diffs that it carries; the baseline carries none."""
        index = self._number[variant] = len(self._diffs)
        self._diffs.append(frozenset(diffs))
        names = sorted(self._diffs[-1])
        columns = [self._column.setdefault(name, len(self._column)) for name in names]
        self._carriers = np.append(self._carriers, np.full(len(columns), index))
        self._carried = np.append(self._carried, np.array(columns, dtype=np.int64))
        self._counts = np.append(self._counts, len(columns))
        prior = self._covariances(index)
        self._factor.add_unknown(prior[self._of], float(prior[index]))

    def add_trial(self, variant: int, loss: float, std: float = 0.0) -> None:
        """A finished trial of a variant that was added.

        Args:
            variant: Its id.
            loss: Less is better.
            std: What the loss may be off by beyond the noise of a trial: 0 if it was measured.

        Raises:
            KeyError: The variant was never added.
        """
        index = self._number[variant]
        is_base = not self._diffs[index] and bool(self._counts[self._of].all())
        self._of = np.append(self._of, index)
        self._tried |= self._diffs[index]
        self._known_effects.clear()
        self._losses.append(loss)
        self._vague.append(std**2)
        is_due = len(self._losses) >= max(FEWEST, REFIT * self._fitted_at)
        if is_due and self._fitted_at * REFIT <= LAST_REFIT:
            self._refit()
        elif len(self._losses) == 1:
            spread = abs(loss) * self._guess or self._guess
            self.variances = Variances(spread, 0.3 * spread, spread, spread)
            self._rebuild()
        elif is_base:  # all that was told before it is now told against it
            self._rebuild()
        else:
            self._observe(len(self._of) - 1)

    def forget(self, variant: int) -> None:
        """Takes back all trials of a variant, at the cost of the cube of those that are left.

        Raises:
            KeyError: The variant was never added.
        """
        kept = np.flatnonzero(self._of != self._number[variant])
        if len(kept) == len(self._of):
            return
        self._of = self._of[kept]
        self._tried = set[str]().union(*(self._diffs[index] for index in self._of))
        self._losses = [self._losses[trial] for trial in kept]
        self._vague = [self._vague[trial] for trial in kept]
        self._known_effects.clear()
        self._rebuild()

    # What is believed

    def mean(self, variant: int) -> float:
        """Posterior mean of a variant's true loss."""
        return self._origin + float(self._factor.means[self._number[variant]])

    def std(self, variant: int) -> float:
        """Posterior standard deviation of it."""
        return math.sqrt(max(float(self._factor.variances[self._number[variant]]), 0.0))

    def better(self, variant: int, other: int) -> float:
        """Probability that the first is truly better than the second."""
        gap, std = self.difference(variant, other)
        return normal(gap / std) if std > 0 else float(gap > 0)

    def difference(self, variant: int, other: int) -> tuple[float, float]:
        """By how much the first is better than the second: mean and standard deviation."""
        i, j = self._number[variant], self._number[other]
        covariance = self._covariance(i, j) - self._factor.explained(i, j)
        variance = self._factor.variances[i] + self._factor.variances[j] - 2 * covariance
        gap = self._factor.means[j] - self._factor.means[i]
        return float(gap), math.sqrt(max(float(variance), 0.0))

    def difference_without(self, variant: int, other: int, loss: float) -> tuple[float, float]:
        """As `difference`, without one trial of the first: what all other evidence says.

        The observation is taken back out of the joint posterior of the two (a rank-one downdate).

        Args:
            variant: Whose trial it was.
            other: Whom it is compared with.
            loss: What the trial said.
        """
        i, j = self._number[variant], self._number[other]
        own = float(self._factor.variances[i])
        both = self._covariance(i, j) - self._factor.explained(i, j)
        gap, std = self.difference(variant, other)
        left = self.variances.noise**2 - own
        if left <= 0:
            return gap, std
        surprise = float(self._tamed(np.array([loss - self._origin]))[0] - self._factor.means[i])
        # Of f_i - f_j, whose covariance with f_i is own - both.
        gap += (own - both) * surprise / left
        return gap, math.sqrt(std**2 + (own - both) ** 2 / left)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the noise: replicates beyond the first trial of each variant."""
        return len(self._of) - len(np.unique(self._of))

    def knows(self, diff: str) -> bool:
        """Whether some variant carries a diff."""
        return diff in self._column

    def is_tried(self, diff: str) -> bool:
        """Whether some trial of a variant that carries it says something of its effect."""
        return diff in self._tried

    def effect(self, *diffs: str) -> tuple[float, float]:
        """What diffs do to the loss together: mean and standard deviation; less than 0 is better.
        None of them do nothing.

        Raises:
            KeyError: No variant carries one of them.
        """
        if not diffs:
            return 0.0, 0.0
        if diffs not in self._known_effects:
            v, columns = self.variances, [self._column[diff] for diff in diffs]
            # Covariance of their m + e_d with each trial: the vague mean is shared by all diffs.
            wide = len(diffs) * (VAGUE * v.effect) ** 2
            carriers = np.concatenate(
                [self._carriers[self._carried == column] for column in columns]
            )
            own = v.effect**2 * np.bincount(carriers, minlength=len(self._diffs))
            covariances = (wide * self._counts + own)[self._of]
            prior = len(diffs) * (wide + v.effect**2)
            mean, variance = self._factor.predict(covariances, prior)
            self._known_effects[diffs] = mean, math.sqrt(max(variance, 0.0))
        return self._known_effects[diffs]

    def effects(self) -> dict[str, float]:
        """Posterior mean of what each diff does to the loss."""
        v, weights, variants = self.variances, self._factor.weights(), len(self._diffs)
        mean = (VAGUE * v.effect) ** 2 * float(self._counts[self._of] @ weights)
        of_each = np.bincount(self._of, weights, variants)[self._carriers]
        found = np.bincount(self._carried, of_each, len(self._column))
        return {
            name: mean + v.effect**2 * float(found[column]) for name, column in self._column.items()
        }

    def mean_effect(self) -> float:
        """What the mean diff does to the loss."""
        wide = (VAGUE * self.variances.effect) ** 2
        return self._factor.predict(wide * self._counts[self._of], wide)[0]

    # The model

    def _covariances(self, index: int) -> Array:
        """Prior covariances of the value of one variant with those of all."""
        v, counts = self.variances, self._counts
        ours = np.zeros(len(self._column))
        ours[self._carried[self._carriers == index]] = 1.0
        shared = np.bincount(self._carriers, ours[self._carried], len(self._diffs))
        found: Array = (
            (VAGUE * v.scale) ** 2
            + (VAGUE * v.effect) ** 2 * counts[index] * counts
            + v.effect**2 * shared
        )
        if counts[index]:
            found[index] += v.interaction**2
        return found

    def _covariance(self, i: int, j: int) -> float:
        """Prior covariance of the values of two variants."""
        v, ours, theirs = self.variances, self._diffs[i], self._diffs[j]
        return (
            (VAGUE * v.scale) ** 2
            + (VAGUE * v.effect) ** 2 * len(ours) * len(theirs)
            + v.effect**2 * len(ours & theirs)
            + (v.interaction**2 if i == j and ours else 0.0)
        )

    def _tamed(self, losses: Array) -> Array:
        """A disaster tells no more than a failure, and must not drown what is known."""
        return np.minimum(losses, DISASTER * self.variances.scale)

    def _observe(self, trial: int) -> None:
        index = self._of[trial]
        prior = self._covariances(index)
        self._factor.add_known(
            int(index),
            self.variances.noise**2 + self._vague[trial],
            float(self._tamed(np.array([self._losses[trial] - self._origin]))[0]),
            prior,
        )

    def _refit(self) -> None:
        self._fitted_at = len(self._losses)
        self.variances = fit(self._kinship(), np.array(self._losses), self.variances)
        self._rebuild()

    def _kinship(self) -> Mapping[str, Array]:
        """What the covariance of the fitted trials is made of, and which they are."""
        chosen = self._chosen()
        of = self._of[chosen]
        carried = self._incidence()[of]
        return {
            "trials": np.array(chosen, dtype=float),
            "shared": carried @ carried.T,
            "counts": carried.sum(axis=1),
            "vague": np.array([self._vague[trial] for trial in chosen]),
            "same": ((of[:, None] == of) & (carried.sum(axis=1) > 0)).astype(float),
        }

    def _incidence(self) -> Array:
        """(variants, diffs): 1 where one carries the other."""
        found = np.zeros((len(self._diffs), len(self._column)))
        found[self._carriers, self._carried] = 1.0
        return found

    def _chosen(self) -> list[int]:
        counts = np.bincount(self._of)
        order = sorted(range(len(self._of)), key=lambda t: (counts[self._of[t]] < 2, -t))
        return sorted(order[:MOST_FITTED])

    def _rebuild(self) -> None:
        """The factor of everything told so far, under the present variances: O(n^3)."""
        carried = self._incidence()
        v, counts = self.variances, self._counts
        prior = (
            (VAGUE * v.scale) ** 2
            + (VAGUE * v.effect) ** 2 * np.outer(counts, counts)
            + v.effect**2 * (carried @ carried.T)
            + np.diag(np.where(counts > 0, v.interaction**2, 0.0))
        )
        of = self._of
        if self._losses:
            bare = np.flatnonzero(counts[of] == 0)
            self._origin = self._losses[bare[0] if len(bare) else 0]
        trials = prior[np.ix_(of, of)] + np.diag(v.noise**2 + np.array(self._vague))
        losses = self._tamed(np.array(self._losses) - self._origin)
        self._factor = Factor.of(trials, losses, prior[of], np.diag(prior).copy())


def normal(z: float) -> float:
    """Distribution function of the standard normal distribution."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
