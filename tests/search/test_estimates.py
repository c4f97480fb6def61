"""Estimates: planted effects come back, and intervals hold what they claim."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from evo.search.estimates import Estimates

EFFECT, INTERACTION, NOISE, MEAN = 0.5, 0.1, 0.5, 0.3
BASELINE = 5.0


@dataclass
class Family:
    """A pedigree that is drawn from the model itself, and the estimates that were told of it."""

    estimates: Estimates = field(default_factory=Estimates)
    effects: dict[str, float] = field(default_factory=dict)
    truth: list[float] = field(default_factory=list)
    carried: list[frozenset[str]] = field(default_factory=list)


def family(seed: int, variants: int, noise: float = NOISE) -> Family:
    chance, made = np.random.default_rng(seed), Family()

    def measure(variant: int) -> None:
        loss = BASELINE + made.truth[variant] + chance.normal(0, noise)
        made.estimates.add_trial(variant, float(loss))

    for variant in range(variants):
        diffs = frozenset[str]()
        if variant > 3 and chance.random() < 0.25:
            one, two = chance.choice(variant, 2, replace=False)
            diffs = made.carried[one] | made.carried[two]
        elif variant:
            name = f"d{variant}"
            diffs = made.carried[int(chance.integers(variant))] | {name}
            made.effects[name] = MEAN + float(chance.normal(0, EFFECT))
        own = float(chance.normal(0, INTERACTION)) if diffs else 0.0
        made.carried.append(diffs)
        made.truth.append(sum(made.effects[name] for name in sorted(diffs)) + own)
        made.estimates.add_variant(variant, diffs)
        measure(variant)
        if chance.random() < 0.4:
            measure(int(chance.integers(variant + 1)))
    return made


def test_with_little_noise_planted_effects_come_back() -> None:
    made = family(3, 80, noise=0.01)
    for name, effect in made.effects.items():
        mean, std = made.estimates.effect(name)
        assert mean == pytest.approx(effect, abs=max(4 * std, 0.35)), name
    for variant, truth in enumerate(made.truth):
        assert made.estimates.mean(variant) == pytest.approx(BASELINE + truth, abs=0.06)


def test_it_does_not_matter_who_is_measured_before_the_baseline() -> None:
    told = [(1, 1e6), (0, 5.0), (2, 4.8), (3, 5.3), (2, 4.9), (0, 5.1), (3, 900.0), (2, 4.7)]
    late, early = Estimates(), Estimates()
    for made, order in ((late, told), (early, sorted(told, key=lambda one: one != (0, 5.0)))):
        for variant in range(4):
            made.add_variant(variant, {f"d{variant}"} if variant else ())
        for variant, loss in order:
            made.add_trial(variant, loss)
    for variant in (0, 2):
        assert late.mean(variant) == pytest.approx(early.mean(variant), rel=0.02)
        assert 4 < late.mean(variant) < 6


@pytest.mark.parametrize(
    ("families", "least", "most"),
    [(15, 0.78, 0.98), pytest.param(200, 0.85, 0.95, marks=pytest.mark.slow)],
)
def test_an_interval_of_ninety_percent_holds_the_truth_about_nine_times_in_ten(
    families: int, least: float, most: float
) -> None:
    variants, diffs = [], []
    for seed in range(families):
        made = family(seed, 40)
        for variant, truth in enumerate(made.truth):
            gap = made.estimates.mean(variant) - BASELINE - truth
            variants.append(abs(gap) < 1.645 * made.estimates.std(variant))
        for name, effect in made.effects.items():
            mean, std = made.estimates.effect(name)
            diffs.append(abs(mean - effect) < 1.645 * std)
    assert least <= np.mean(variants) <= most
    assert least <= np.mean(diffs) <= most


def test_relatives_make_a_better_estimate_than_a_variants_own_mean() -> None:
    own, ours = [], []
    for seed in range(20):
        made, chance = Family(), np.random.default_rng(seed)
        made.estimates.add_variant(0, [])
        for variant in range(1, 30):
            made.estimates.add_variant(variant, {f"d{variant % 5}"})
        truth = chance.normal(0, 1, 5)
        for variant in range(30):
            value = truth[variant % 5] if variant else 0.0
            loss = float(value + chance.normal(0, 1))
            made.estimates.add_trial(variant, loss)
            if variant:
                own.append((loss - value) ** 2)
        for variant in range(1, 30):
            ours.append((made.estimates.mean(variant) - truth[variant % 5]) ** 2)
    assert np.mean(ours) < 0.4 * np.mean(own)


def test_a_trial_at_a_time_and_all_at_once_are_the_same_posterior() -> None:
    made = family(5, 50)
    step_by_step = [(made.estimates.mean(v), made.estimates.std(v)) for v in range(50)]
    made.estimates._rebuild()
    at_once = [(made.estimates.mean(v), made.estimates.std(v)) for v in range(50)]
    assert np.allclose(step_by_step, at_once, rtol=1e-4, atol=1e-5)


def test_a_lucky_number_is_believed_less_than_it_says() -> None:
    made = family(7, 60)
    made.estimates.add_variant(60, made.carried[0] | {"lucky"})
    before = made.estimates.mean(60)
    made.estimates.add_trial(60, before - 2.0)
    assert before - 2.0 < made.estimates.mean(60) < before
    assert made.estimates.better(60, 0) > 0.5


def test_the_probability_of_being_better_agrees_with_the_difference() -> None:
    made = family(9, 30)
    for one, other in ((3, 7), (12, 0), (29, 28)):
        gap, std = made.estimates.difference(one, other)
        assert gap == pytest.approx(made.estimates.mean(other) - made.estimates.mean(one))
        assert std > 0
        assert made.estimates.better(one, other) == pytest.approx(
            0.5 * (1 + math.erf(gap / std / math.sqrt(2)))
        )
        assert made.estimates.better(one, other) + made.estimates.better(other, one) == (
            pytest.approx(1.0)
        )


def test_the_effects_of_all_diffs_at_once_are_those_one_by_one() -> None:
    made = family(11, 40)
    for name, effect in made.estimates.effects().items():
        assert effect == pytest.approx(made.estimates.effect(name)[0], abs=1e-6)


def test_one_disaster_does_not_drown_what_is_known() -> None:
    calm, shaken = family(13, 40), family(13, 40)
    shaken.estimates.add_variant(40, {"disaster"})
    shaken.estimates.add_trial(40, 500.0)
    shaken.estimates._refit()
    calm.estimates._refit()
    for variant in range(40):
        assert shaken.estimates.mean(variant) == pytest.approx(
            calm.estimates.mean(variant), abs=0.8
        )


def test_a_variant_that_was_never_added_can_not_be_measured() -> None:
    with pytest.raises(KeyError):
        Estimates().add_trial(3, 1.0)
