"""The purse: what models have cost so far and may still cost, so that a limit is kept in time."""

from __future__ import annotations

import threading

from evo.errors import EvoError

A_TRIFLE_USD = 1e-9
"""Below is what rounding leaves."""


class SpentError(EvoError):
    """Another call might cost more than is left."""


class Purse:
    """Dollars of one session; safe to use from several threads.

    A call is begun only if what it may cost is left beside all calls that are in flight. What one
    may cost is what the dearest answer of that model has cost so far, and at first an estimate.

    Args:
        limit_usd: None means that nothing limits it.
    """

    def __init__(self, limit_usd: float | None) -> None:
        self._limit = limit_usd
        self._spent = self._reserved = 0.0
        self._dearest: dict[str, float] = {}
        self._is_spent = False
        self._lock = threading.Lock()

    def reserve(self, model: str, estimate_usd: float | None) -> float:
        """Sets aside what a call may cost; the sum, for `settle`.

        Raises:
            SpentError: So much isn't left.
        """
        with self._lock:
            usd = self._dearest.get(model, estimate_usd or 0.0)
            if self._limit is not None and self._spent + self._reserved + usd > self._limit:
                # With calls in flight it may still turn out that there was enough.
                self._is_spent = self._is_spent or self._reserved < A_TRIFLE_USD
                raise SpentError(
                    f"models have cost ${self._spent:.4f}, calls in flight may cost "
                    f"${self._reserved:.4f}, and a call of {model} about ${usd:.4f}: that is more "
                    f"than the ${self._limit:g} that --cost allows"
                )
            self._reserved += usd
            return usd

    def settle(
        self, model: str, reserved_usd: float, cost_usd: float | None, *, answered: bool = True
    ) -> None:
        """Pays for a call that has ended.

        Args:
            model: Who was called.
            reserved_usd: What was set aside for it.
            cost_usd: None costs nothing that is known.
            answered: Whether there was an answer: what broke off says nothing of what others cost.
        """
        with self._lock:
            self._reserved = max(0.0, self._reserved - reserved_usd)
            if cost_usd:
                self._spent += cost_usd
            if cost_usd and answered:
                self._dearest[model] = max(cost_usd, self._dearest.get(model, 0.0))
            if self._limit is not None and self._spent >= self._limit:
                self._is_spent = True

    def allow(self, more_usd: float | None) -> None:
        """Lets so much be spent from now on; None takes the limit away."""
        with self._lock:
            self._limit = None if more_usd is None else self._spent + more_usd
            self._is_spent = False

    @property
    def spent_usd(self) -> float:
        """What is paid."""
        return self._spent

    @property
    def limit_usd(self) -> float | None:
        return self._limit

    @property
    def is_spent(self) -> bool:
        """Whether the limit is reached: not even one call by itself can be paid any more."""
        return self._is_spent
