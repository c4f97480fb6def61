"""The bandit: which operator, role and model is asked next, by what they brought for their price.

Pure: its state is what it was told. Each arm is credited with what its variants gained on their
parents, and charged with the seconds and dollars that this took. Both fade with every credit, so
that an arm which was good long ago, or bad, comes to be judged anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evo.nouns import Direction, Proposal, Purpose, Trial, Variant

FADING = 0.98
"""What is left of an arm's record after each credit of any arm: half of it after 34."""
PRIOR_TRIALS = 3.0
"""Average trials that each arm is taken to have had before its first."""
FLOOR = 0.2
"""Share of the questions that goes by the prior shares alone: no arm starves."""
SECONDS_PER_USD = 1_440.0
"""An H100 rents for about 2.50 USD an hour."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What can be asked: an operator, with a role of program.md and a model where it takes them."""

    operator: str
    role: str = ""
    model: str = ""


@dataclass(slots=True)
class Record:
    """What an arm has brought and cost lately."""

    gain: float = 0.0
    seconds: float = 0.0
    """With dollars as seconds."""
    trials: float = 0.0


class Bandit:
    """Shares of the arms.

    An arm's rate is its gain per second, shrunk to the rate of all arms together by a few average
    trials (an empirical prior). It is asked in proportion to its prior share times its rate: the
    matching law, with the discounted sums of Garivier and Moulines (2011) in place of plain ones.

    Args:
        direction: Which way the metric improves.
        prior: How often each arm is asked before anything is known, in parts.
    """

    def __init__(self, direction: Direction, prior: Mapping[Arm, float]) -> None:
        self._direction = direction
        self.offer(prior)
        self._records: dict[Arm, Record] = {}
        self._proposals: dict[int, Arm] = {}
        self._variants: dict[int, Variant] = {}
        self._losses: dict[int, list[float]] = {}

    def offer(self, prior: Mapping[Arm, float]) -> None:
        """Says which arms there are from now on. What went before is remembered of all, so that an
        arm which comes back is known."""
        self._prior = dict(prior)

    def tell(self, record: Proposal | Variant | Trial) -> None:
        """Takes notice of what happened."""
        if isinstance(record, Proposal):
            arm = Arm(record.operator, record.role, record.model)
            self._proposals[record.id] = arm
            self._credit(arm, 0.0, record.cost_usd * SECONDS_PER_USD, 0.0)
        elif isinstance(record, Variant):
            self._variants[record.id] = record
        else:
            self._add_trial(record)

    def shares(self) -> dict[Arm, float]:
        """How often each arm is to be asked; they add up to 1."""
        whole = sum(self._prior.values())
        rates = {arm: share * self._rate(arm) for arm, share in self._prior.items()}
        total = sum(rates.values())
        return {
            arm: (1 - FLOOR) * (rates[arm] / total if total else share / whole)
            + FLOOR * share / whole
            for arm, share in self._prior.items()
        }

    def _rate(self, arm: Arm) -> float:
        records = self._records.values()
        gain, seconds = sum(one.gain for one in records), sum(one.seconds for one in records)
        trials = sum(one.trials for one in records)
        if not (trials and gain and seconds):
            return 1.0
        own = self._records.get(arm, Record())
        prior = PRIOR_TRIALS / trials
        return (own.gain + prior * gain) / (own.seconds + prior * seconds)

    def _add_trial(self, trial: Trial) -> None:
        measurement, variant = trial.measurement, self._variants.get(trial.variant)
        if measurement is None or variant is None:
            return
        loss = None if measurement.score is None else self._direction.loss(measurement.score)
        arm = self._proposals.get(variant.proposal)
        is_new = trial.purpose is Purpose.FIRST and trial.variant not in self._losses
        if is_new and arm is not None and variant.parents:
            used = measurement.resources
            seconds = used.total_seconds or used.training_seconds
            self._credit(arm, self._gain(loss, variant), seconds, 1.0)
        if loss is not None:
            self._losses.setdefault(trial.variant, []).append(loss)

    def _gain(self, loss: float | None, variant: Variant) -> float:
        """How much less than the best parent's mean; nothing if it isn't, or isn't known."""
        means = [sum(losses) / len(losses) for losses in self._losses_of(variant)]
        return max(0.0, min(means) - loss) if means and loss is not None else 0.0

    def _losses_of(self, variant: Variant) -> list[list[float]]:
        return [self._losses[parent] for parent in variant.parents if parent in self._losses]

    def _credit(self, arm: Arm, gain: float, seconds: float, trials: float) -> None:
        if trials:
            for record in self._records.values():
                record.gain *= FADING
                record.seconds *= FADING
                record.trials *= FADING
        record = self._records.setdefault(arm, Record())
        record.gain += gain
        record.seconds += seconds
        record.trials += trials
