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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

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
DISASTER = 8.0
"""Standard deviations above the baseline beyond which a loss is taken to be that."""
FEWEST = 4
"""Trials before variances are estimated at all."""


@dataclass(frozen=True, slots=True)
class Variances:
    """Standard deviations of the model's parts, in the unit of a loss."""

    effect: float
    """Of diffs around their mean effect."""
    interaction: float
    """Of variants around the sum of their diffs."""
    noise: float
    """Of one trial."""
    scale: float
    """Of all trials: what the vague priors are wide against."""


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
        self._carried: Array = np.zeros(
            (16, 16)
        )  # (variants, diffs): 1 where one carries the other
        self._column: dict[str, int] = {}  # of `_carried`, by diff
        self._counts: Array = np.zeros(0)  # of diffs, by variant
        self._of = np.zeros(0, dtype=np.int64)  # index of the variant of each trial
        self._losses: list[float] = []
        self._vague: list[float] = []  # variance of each loss beyond the noise of a trial
        self._fitted_at = 0
        self._known_effects: dict[str, tuple[float, float]] = {}  # since the last trial
        self.variances = Variances(1.0, 0.3, 1.0, 1.0)
        self._factor = Factor()

    # What is told

    def add_variant(self, variant: int, diffs: Iterable[str]) -> None:
        """A variant and all diffs that it carries; the baseline carries none."""
        index = self._number[variant] = len(self._diffs)
        self._diffs.append(frozenset(diffs))
        names = sorted(self._diffs[-1])
        columns = [self._column.setdefault(name, len(self._column)) for name in names]
        rows, width = self._carried.shape
        if index >= rows or len(self._column) > width:
            wider = 2 * width if len(self._column) > width else width
            self._carried = _grown(
                self._carried, (2 * rows if index >= rows else rows, max(wider, len(self._column)))
            )
        self._carried[index, columns] = 1.0
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
        self._of = np.append(self._of, index)
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
        else:
            self._observe(len(self._of) - 1)

    # What is believed

    def __contains__(self, variant: int) -> bool:
        return variant in self._number

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

    def carriers(self, diff: str) -> int:
        """How many variants carry a diff."""
        column = self._column.get(diff)
        return 0 if column is None else int(self._carried[: len(self._diffs), column].sum())

    def effect(self, diff: str) -> tuple[float, float]:
        """What a diff does to the loss: mean and standard deviation; less than 0 is better.

        Raises:
            KeyError: No variant carries it.
        """
        if diff not in self._known_effects:
            v, column = self.variances, self._column[diff]
            # Covariance of m + e_d with each trial: the vague mean is shared by all that carry any.
            wide = (VAGUE * v.effect) ** 2
            own = v.effect**2 * self._carried[self._of, column]
            covariances = wide * self._counts[self._of] + own
            mean, variance = self._factor.predict(covariances, wide + v.effect**2)
            self._known_effects[diff] = mean, math.sqrt(max(variance, 0.0))
        return self._known_effects[diff]

    def effects(self) -> dict[str, float]:
        """Posterior mean of what each diff does to the loss."""
        v, weights, variants = self.variances, self._factor.weights(), len(self._diffs)
        mean = (VAGUE * v.effect) ** 2 * float(self._counts[self._of] @ weights)
        found = np.bincount(self._of, weights, variants) @ self._carried[:variants]
        return {
            name: mean + v.effect**2 * float(found[column]) for name, column in self._column.items()
        }

    def mean_effect(self) -> float:
        """What the mean diff does to the loss."""
        wide = (VAGUE * self.variances.effect) ** 2
        return self._factor.predict(wide * self._counts[self._of], wide)[0]

    # The model

    @property
    def _origin(self) -> float:
        return self._losses[0] if self._losses else 0.0

    def _covariances(self, index: int) -> Array:
        """Prior covariances of the value of one variant with those of all."""
        v, counts = self.variances, self._counts
        shared = self._carried[: len(self._diffs)] @ self._carried[index]
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
        noise = self.variances.noise**2 + self._vague[trial]
        self._factor.add_known(
            prior[self._of[:trial]],
            float(prior[index]) + noise,
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
        carried = self._carried[of]
        return {
            "trials": np.array(chosen, dtype=float),
            "shared": carried @ carried.T,
            "counts": carried.sum(axis=1),
            "vague": np.array([self._vague[trial] for trial in chosen]),
            "same": ((of[:, None] == of) & (carried.sum(axis=1) > 0)).astype(float),
        }

    def _chosen(self) -> list[int]:
        counts = np.bincount(self._of)
        order = sorted(range(len(self._of)), key=lambda t: (counts[self._of[t]] < 2, -t))
        return sorted(order[:MOST_FITTED])

    def _rebuild(self) -> None:
        """The factor of everything told so far, under the present variances: O(n^3)."""
        carried = self._carried[: len(self._diffs), : max(1, len(self._column))]
        v, counts = self.variances, self._counts
        prior = (
            (VAGUE * v.scale) ** 2
            + (VAGUE * v.effect) ** 2 * np.outer(counts, counts)
            + v.effect**2 * (carried @ carried.T)
            + np.diag(np.where(counts > 0, v.interaction**2, 0.0))
        )
        of = self._of
        trials = prior[np.ix_(of, of)] + np.diag(v.noise**2 + np.array(self._vague))
        losses = self._tamed(np.array(self._losses) - self._origin)
        self._factor = Factor.of(trials, losses, prior[of], np.diag(prior).copy())


class Factor:
    """A Gaussian posterior that grows: by things to be known, and by what is known of them.

    Holds L (V = L L'), A = L^-1 C' and L^-1 y for covariances V of the observations and C of the
    unknowns with them.
    """

    def __init__(self) -> None:
        self._seen = self._unknown = 0
        self._lower: Array = np.zeros((16, 16))
        self._across: Array = np.zeros((16, 16))  # (observations, unknowns)
        self._whitened: Array = np.zeros(16)
        self._means: Array = np.zeros(16)
        self._variances: Array = np.zeros(16)

    @classmethod
    def of(cls, trials: Array, losses: Array, across: Array, prior: Array) -> Factor:
        """From whole matrices: (n, n), (n,), (n, m) and the diagonal (m,)."""
        made = cls()
        made._reserve(len(trials), len(prior))
        n, m = made._seen, made._unknown = len(trials), len(prior)
        lower = np.linalg.cholesky(trials)
        solved = solve_triangular(lower, np.column_stack([across, losses]), lower=True)
        made._lower[:n, :n] = lower
        made._across[:n, :m] = solved[:, :m]
        made._whitened[:n] = solved[:, m]
        made._means[:m] = solved[:, :m].T @ solved[:, m]
        made._variances[:m] = prior - np.einsum("ij,ij->j", solved[:, :m], solved[:, :m])
        return made

    @property
    def means(self) -> Array:
        return self._means[: self._unknown]

    @property
    def variances(self) -> Array:
        return self._variances[: self._unknown]

    def add_unknown(self, column: Array, prior: float) -> None:
        """One more thing to be known: its covariances with the observations, its variance."""
        self._reserve(self._seen, self._unknown + 1)
        solved = self._solve(column)
        self._across[: self._seen, self._unknown] = solved
        self._means[self._unknown] = solved @ self._whitened[: self._seen]
        self._variances[self._unknown] = prior - solved @ solved
        self._unknown += 1

    def add_known(self, row: Array, own: float, value: float, across: Array) -> None:
        """One more observation: its covariances with the others, its variance, its value, and its
        covariances with the unknowns."""
        self._reserve(self._seen + 1, self._unknown)
        n, m = self._seen, self._unknown
        lower = self._solve(row)
        corner = math.sqrt(max(own - float(lower @ lower), 1e-12 * own))
        self._lower[n, :n], self._lower[n, n] = lower, corner
        new = (across - lower @ self._across[:n, :m]) / corner
        white = (value - float(lower @ self._whitened[:n])) / corner
        self._across[n, :m], self._whitened[n] = new, white
        self._means[:m] += new * white
        self._variances[:m] -= new**2
        self._seen += 1

    def explained(self, i: int, j: int) -> float:
        """What the observations take from the prior covariance of two unknowns."""
        n = self._seen
        return float(self._across[:n, i] @ self._across[:n, j])

    def weights(self) -> Array:
        """V^-1 (y - y0): how much each observation counts in a posterior mean."""
        n = self._seen
        found: Array = solve_triangular(
            self._lower[:n, :n], self._whitened[:n], lower=True, trans="T", check_finite=False
        )
        return found

    def predict(self, column: Array, prior: float) -> tuple[float, float]:
        """Mean and variance of something else, by its covariances with the observations."""
        solved = self._solve(column)
        return float(solved @ self._whitened[: self._seen]), prior - float(solved @ solved)

    def _solve(self, column: Array) -> Array:
        n = self._seen
        if n == 0:
            return np.zeros(0)
        solved: Array = solve_triangular(
            self._lower[:n, :n], column, lower=True, check_finite=False
        )
        return solved

    def _reserve(self, seen: int, unknown: int) -> None:
        rows, columns = self._across.shape
        if seen > rows:
            grown = max(seen, 2 * rows)
            self._lower = _grown(self._lower, (grown, grown))
            self._across = _grown(self._across, (grown, columns))
            self._whitened = _grown(self._whitened, (grown,))
            rows = grown
        if unknown > columns:
            grown = max(unknown, 2 * columns)
            self._across = _grown(self._across, (rows, grown))
            self._means = _grown(self._means, (grown,))
            self._variances = _grown(self._variances, (grown,))


def normal(z: float) -> float:
    """Distribution function of the standard normal distribution."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _grown(array: Array, shape: tuple[int, ...]) -> Array:
    made = np.zeros(shape)
    made[tuple(slice(0, size) for size in array.shape)] = array
    return made


def fit(kinship: Mapping[str, Array], losses: Array, before: Variances) -> Variances:
    """Variances by restricted maximum likelihood, with weak priors on their ratios.

    Patterson and Thompson 1971, "Recovery of inter-block information when block sizes are
    unequal". mu and m are fixed effects here. The logarithms of interaction / effect and noise /
    effect have normal priors (around 0.3 and 1, a factor of about 3 and 7): without replicates the
    data can't tell the one from the other.

    Args:
        kinship: `trials` (indices into losses), `shared` diffs of two trials, `counts` of diffs,
            whether two are of the `same` variant, and how `vague` each is beyond its noise.
        losses: Of all trials.
        before: Where the search begins.
    """
    from scipy.optimize import minimize  # a quarter of a second, and commands import this room

    y = losses[kinship["trials"].astype(int)]
    scale = float(_robust_std(y)) or before.scale
    y = np.minimum((y - np.median(y)) / scale, DISASTER / 2)
    counts = kinship["counts"]
    columns = [np.ones(len(y))] + ([counts] if np.ptp(counts) > 0 else [])
    x = np.column_stack(columns)
    deviance = _deviance(kinship, y, x, scale)
    start = np.log(
        np.clip([before.effect / scale, 0.3 * before.effect / scale, before.noise / scale], 1e-3, 9)
    )
    found = minimize(deviance, start, method="L-BFGS-B", bounds=[(-9.0, 4.0)] * 3)
    effect, interaction, noise = np.exp(found.x) * scale
    return Variances(float(effect), float(interaction), float(noise), scale)


def _deviance(
    kinship: Mapping[str, Array], y: Array, x: Array, scale: float
) -> Callable[[Array], float]:
    shared, same, vague = kinship["shared"], kinship["same"], kinship["vague"] / scale**2

    def deviance(logs: Array) -> float:
        effect, interaction, noise = np.exp(2 * logs)
        v = effect * shared + interaction * same + np.diag(noise + 1e-9 + vague)
        try:
            lower = np.linalg.cholesky(v)
        except np.linalg.LinAlgError:
            return 1e12
        white = solve_triangular(lower, np.column_stack([x, y]), lower=True, check_finite=False)
        wx, wy = white[:, :-1], white[:, -1]
        gram = wx.T @ wx
        beta = np.linalg.lstsq(gram, wx.T @ wy, rcond=None)[0]
        rest = float(wy @ wy - beta @ (wx.T @ wy))
        _, log_gram = np.linalg.slogdet(gram)
        prior = ((logs[1] - logs[0] - math.log(0.3)) / 1.0) ** 2 + ((logs[2] - logs[0]) / 2.0) ** 2
        return 2 * float(np.log(np.diag(lower)).sum()) + float(log_gram) + rest + float(prior)

    return deviance


def _robust_std(values: Array) -> float:
    """From the quartiles, so that disasters don't set the scale."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349 or float(values.std())
