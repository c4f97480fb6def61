"""A Gaussian posterior that grows by one observation or one unknown at a time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtpsv

Array = NDArray[np.float64]


class Factor:
    """A Gaussian posterior that grows: by things to be known, and by what is known of them.

    Holds L (V = L L'), A = L^-1 C' and L^-1 y for covariances V of the observations and C of the
    unknowns with them. L is packed, row after row: so it grows by a row without being moved, and
    BLAS takes it as it is, for packed rows of a lower triangle are the packed columns of its
    transpose.
    """

    def __init__(self) -> None:
        self._seen = self._unknown = 0
        self._packed: Array = np.zeros(_packed_size(16))
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
        made._packed[: _packed_size(n)] = lower[np.tri(n, dtype=bool)]
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
        solved = self._solved(column)
        self._across[: self._seen, self._unknown] = solved
        self._means[self._unknown] = solved @ self._whitened[: self._seen]
        self._variances[self._unknown] = prior - solved @ solved
        self._unknown += 1

    def add_known(self, of: int, noise: float, value: float, prior: Array) -> None:
        """One more observation: of which unknown, the variance of its noise, its value, and the
        prior covariances of that unknown with all unknowns."""
        self._reserve(self._seen + 1, self._unknown)
        n, m = self._seen, self._unknown
        own = float(prior[of]) + noise
        # Its row of L is L^-1 times its covariances with the others, which A has: they are those
        # of the unknown.
        lower = self._across[:n, of].copy()
        corner = math.sqrt(max(own - float(lower @ lower), 1e-12 * own))
        begin = _packed_size(n)
        self._packed[begin : begin + n], self._packed[begin + n] = lower, corner
        new = (prior - lower @ self._across[:n, :m]) / corner
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
        return self._solved(self._whitened[: self._seen], transposed=True)

    def predict(self, column: Array, prior: float) -> tuple[float, float]:
        """Mean and variance of something else, by its covariances with the observations."""
        solved = self._solved(column)
        return float(solved @ self._whitened[: self._seen]), prior - float(solved @ solved)

    def _solved(self, column: Array, *, transposed: bool = False) -> Array:
        """L^-1 column, or L'^-1 column."""
        if self._seen == 0:
            return np.zeros(0)
        solved: Array = dtpsv(self._seen, self._packed, column, lower=0, trans=int(not transposed))
        return solved

    def _reserve(self, seen: int, unknown: int) -> None:
        rows, columns = self._across.shape
        if seen > rows:
            size = max(seen, 2 * rows)
            self._packed = grown(self._packed, (_packed_size(size),))
            self._across = grown(self._across, (size, columns))
            self._whitened = grown(self._whitened, (size,))
            rows = size
        if unknown > columns:
            size = max(unknown, 2 * columns)
            self._across = grown(self._across, (rows, size))
            self._means = grown(self._means, (size,))
            self._variances = grown(self._variances, (size,))


def _packed_size(rows: int) -> int:
    """Numbers in so many rows of a lower triangle."""
    return rows * (rows + 1) // 2


def grown(array: Array, shape: tuple[int, ...]) -> Array:
    """The same numbers in a larger array of zeros."""
    made = np.zeros(shape)
    made[tuple(slice(0, size) for size in array.shape)] = array
    return made
