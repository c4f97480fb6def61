"""TPE: Optuna's tree-structured Parzen estimator over the constants of the baseline.

Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization". It moves all constants at once
and never combines diffs: what a good tuner of numbers achieves by itself. Optuna is an optional
extra (`evo-search[tpe]`) and is imported here alone, on first use.

A study is made anew for each question, from the records alone: so a replay asks the same.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from typing import Any

from evo.errors import SettingsError
from evo.search.bandit import Arm
from evo.search.breeding import Plan
from evo.search.rivals import BestOfMany

FACTOR = 4.0
"""A number is moved within this factor of what it is in the baseline."""
RANDOM_FIRST = 10
"""Trials drawn at random before the estimator is trusted, Optuna's default."""
Value = bool | int | float


@dataclass(frozen=True, slots=True)
class Knob:
    """A constant, and where it may go. Numbers are moved by octaves: 0 is the baseline's value."""

    value: Value

    @property
    def is_fixed(self) -> bool:
        """Zero has no neighbourhood on a scale of factors."""
        return not isinstance(self.value, bool) and self.value == 0

    def distribution(self, optuna: Any) -> Any:
        """What Optuna may draw from."""
        reach = math.log2(FACTOR)
        if isinstance(self.value, bool):
            return optuna.distributions.CategoricalDistribution((False, True))
        if isinstance(self.value, int) and abs(self.value).bit_count() == 1:
            least = -min(int(reach), abs(self.value).bit_length() - 1)
            return optuna.distributions.IntDistribution(least, int(reach))
        return optuna.distributions.FloatDistribution(-reach, reach)

    def at(self, octaves: bool | float) -> Value:
        """The value so many octaves up; a switch is what is drawn."""
        if isinstance(self.value, bool):
            return bool(octaves)
        if isinstance(self.value, int):
            moved = max(1, round(abs(self.value) * 2.0**octaves))
            return moved if self.value > 0 else -moved
        size = abs(self.value)
        if 0.5 <= size < 1:
            # Near 1 it is the distance to 1 that counts, and it stays between.
            moved = max(1 - (1 - size) * 2.0**-octaves, size / FACTOR)
            return math.copysign(_rounded(moved, 4), self.value)
        return math.copysign(_rounded(size * 2.0**octaves, 3), self.value)


class Tpe(BestOfMany):
    """Every variant is the baseline with other constants; the best number wins.

    Args:
        plan: With the baseline's constants.

    Raises:
        SettingsError: Optuna isn't installed, or there are no constants.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        try:
            import optuna
        except ImportError as error:
            raise SettingsError(
                "strategy tpe takes Optuna, which isn't installed: pip install 'evo-search[tpe]'"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna: Any = optuna
        knobs = {label: Knob(value) for label, value in plan.constants.items()}
        self._knobs = {label: knob for label, knob in knobs.items() if not knob.is_fixed}
        if not self._knobs:
            raise SettingsError(
                "strategy tpe moves numbers and switches among the upper-case constants, and there "
                "are none: name some, or take another strategy"
            )

    def _choose(self, chance: random.Random) -> tuple[Arm, tuple[int, ...], str] | None:
        if not self._ledger.has_begun("baseline"):
            return Arm("baseline"), (), ""
        if 0 not in self._ledger:
            return None
        return Arm("tune"), (0,), self._suggest(chance.getrandbits(31))

    def _suggest(self, seed: int) -> str:
        """Values for all constants, as JSON."""
        optuna = self._optuna
        space = {label: knob.distribution(optuna) for label, knob in self._knobs.items()}
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=RANDOM_FIRST, multivariate=True, seed=seed
        )
        study = optuna.create_study(sampler=sampler)
        for drawn, loss in self._tried():
            study.add_trial(
                optuna.trial.create_trial(params=drawn, distributions=space, value=loss)
            )
        drawn = dict(study.ask(space).params)
        return json.dumps({label: knob.at(drawn[label]) for label, knob in self._knobs.items()})

    def _tried(self) -> list[tuple[dict[str, bool | float], float]]:
        """What was measured, as Optuna draws it; what failed is as bad as the worst. What people
        hand in is somewhere else, and what another strategy has tuned before names no values."""
        variants = self._ledger.everyone()
        tuned = [one for one in variants if one.variant.operator == "tune" and one.variant.subject]
        worst = max((entry.losses[0] for entry in self._ledger.scored()), default=0.0)
        found = []
        for entry in tuned:
            values = json.loads(entry.variant.subject)
            if entry.losses or entry.failures:
                loss = entry.losses[0] if entry.losses else worst
                found.append(({label: self._back(label, values[label]) for label in values}, loss))
        return found

    def _back(self, label: str, value: Value) -> bool | float:
        """Octaves from the baseline's value: what `Knob.at` undoes, but for rounding."""
        knob, reach = self._knobs[label], math.log2(FACTOR)
        if isinstance(knob.value, bool):
            return bool(value)
        size, base = float(abs(value)), float(abs(knob.value))
        if isinstance(knob.value, float) and 0.5 <= base < 1:
            octaves = math.log2((1 - base) / max(1 - size, 1e-9))
        else:
            octaves = math.log2(size / base)
        if isinstance(knob.value, int) and abs(knob.value).bit_count() == 1:
            return round(octaves)
        return min(max(octaves, -reach), reach)


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")
