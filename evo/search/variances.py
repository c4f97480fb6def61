"""How much of what trials differ by is diffs, interactions and noise: estimated from the trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Array = NDArray[np.float64]
DISASTER = 8.0
"""Standard deviations above the baseline beyond which a loss is taken to be that."""


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


def fit(kinship: Mapping[str, Array], losses: Array, before: Variances) -> Variances:
    """Variances by restricted maximum likelihood, with weak priors on their ratios.

    Patterson and Thompson 1971, "Recovery of inter-block information when block sizes are
    unequal". mu and m are fixed effects here. The logarithms of interaction / effect and noise /
    effect have normal priors (around 0.3 and 1, a factor of about 3 either way): without replicates
    the data can't tell the one from the other, and with few of them noise happens to look small.

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
        prior = (logs[1] - logs[0] - math.log(0.3)) ** 2 + (logs[2] - logs[0]) ** 2
        return 2 * float(np.log(np.diag(lower)).sum()) + float(log_gram) + rest + float(prior)

    return deviance


def _robust_std(values: Array) -> float:
    """From the quartiles, so that disasters don't set the scale."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349 or float(values.std())
