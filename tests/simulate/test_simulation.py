"""Simulated searches: the same seeds make the same world, and strategies are told apart in it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from evo.nouns import CurvePoint, Direction, Trial
from evo.search.breeding import Part, Plan
from evo.search.rivals import STRATEGIES, Greedy
from evo.simulate.bench import cases, run, speed_up
from evo.simulate.landscape import BASE, Kind, Landscape
from evo.simulate.simulation import Outcomes, Simulation

PLAN = Plan(Direction.MINIMISE, Landscape(Kind.DENSE, 0).founders, 8, 16, 2)


def simulated(
    strategy: str,
    kind: Kind,
    *,
    noise: float = 1.0,
    slots: int = 1,
    seed: int = 0,
    most: int = 40,
) -> Outcomes:
    search = STRATEGIES[strategy](PLAN)
    return Simulation(search, Landscape(kind, seed), noise, slots, seed).run(most)


@pytest.mark.parametrize("kind", Kind)
def test_a_landscape_is_the_same_for_the_same_seed_and_the_baseline_is_its_base(kind: Kind) -> None:
    one, again, other = Landscape(kind, 1), Landscape(kind, 1), Landscape(kind, 2)
    genes = frozenset(range(20))
    assert one.truth(genes) == again.truth(genes) != other.truth(genes)
    assert one.truth(frozenset()) == BASE
    assert one.best < BASE


def test_few_ideas_of_a_sparse_landscape_help_and_popular_ones_come_again() -> None:
    landscape = Landscape(Kind.SPARSE, 3)
    helping = sum(landscape.truth(frozenset({idea})) < BASE for idea in range(landscape.ideas))
    assert 0.02 < helping / landscape.ideas < 0.07
    drawn = [landscape.draw(seed) for seed in range(300)]
    assert len(set(drawn)) < 200


def test_a_deceptive_landscape_has_pairs_that_help_only_together() -> None:
    landscape = Landscape(Kind.DECEPTIVE, 3)
    deceiving = [
        pair
        for pair in landscape._pairs
        if landscape.truth(frozenset(pair)) < BASE - 1
        and all(landscape.truth(frozenset({idea})) > BASE for idea in pair)
    ]
    assert len(deceiving) >= 3


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_seeds_repeat_a_search_and_it_takes_as_many_trials_as_asked(
    strategy: str, slots: int
) -> None:
    first = simulated(strategy, Kind.DENSE, slots=slots)
    assert first == simulated(strategy, Kind.DENSE, slots=slots)
    assert 30 <= first.trials <= 60  # those that are stopped make room for more
    assert 40 / slots <= first.hours < 40 / slots + 2  # what runs at the end is awaited


def test_estimates_overstate_less_and_promote_falsely_less_often_than_greed() -> None:
    kinds, seeds = (Kind.DENSE, Kind.SPARSE), range(4)
    found = {
        strategy: [
            simulated(strategy, kind, noise=3.0, seed=seed, most=60)
            for kind in kinds
            for seed in seeds
        ]
        for strategy in ("population", "greedy")
    }
    optimism = {name: sum(one.optimism for one in many) for name, many in found.items()}
    false = {name: sum(one.false_promotions for one in many) for name, many in found.items()}
    assert optimism["population"] < 0.5 * optimism["greedy"]
    assert false["population"] < false["greedy"]


def test_the_bench_has_a_row_for_each_regime_and_strategy() -> None:
    wanted = cases(
        strategies=("greedy", "random"), seeds=(100, 101), trials=12, slots=(2,), noises=("low",)
    )
    done = []
    rows = list(run(wanted, lambda: done.append(1)))
    assert len(done) == len(wanted) == len(Kind) * 2 * 2
    assert {(row.regime.kind, row.regime.strategy) for row in rows} == {
        (kind, strategy) for kind in Kind for strategy in ("greedy", "random")
    }
    for row in rows:
        assert row.gain_low <= row.gain <= row.gain_high
        assert 0 <= row.false_promotions <= row.promotions
        assert 0 <= row.killed <= row.improvements
        assert row.path[-1] == pytest.approx(row.gain)


def test_each_part_of_the_population_changes_what_comes_of_a_search() -> None:
    wanted = cases(
        strategies=("population",), seeds=(3,), trials=90, slots=(1,), noises=("medium",),
        kinds=(Kind.DENSE,), without=tuple(Part),
    )  # fmt: skip
    whole, *others = run(wanted)
    assert {row.regime.without for row in others} == set(Part)
    for row in others:
        assert row.path != whole.path, row.regime.name


class Impatient(Greedy):
    """Stops every trial but the baseline's at its second report."""

    def hopeless(self, trial: Trial, curve: Sequence[CurvePoint]) -> str:
        return "impatient" if trial.variant and len(curve) == 2 else ""


def test_a_trial_that_is_stopped_costs_what_it_used_and_has_no_score() -> None:
    found = Simulation(Impatient(PLAN), Landscape(Kind.SPARSE, 3), 1.0, 1, 3).run(20)
    assert found.pruned > 60
    assert found.killed == found.improvements > 0
    assert found.gain == found.promotions == 0


def test_many_slots_are_as_much_faster_as_their_path_says() -> None:
    wanted = cases(
        strategies=("best-of-n",), seeds=range(6), trials=40, slots=(1, 8), noises=("low",),
        kinds=(Kind.DENSE,),
    )  # fmt: skip
    alone, together = run(wanted)
    factor = speed_up(alone, together)
    assert factor is not None and 4 < factor < 16  # it learns nothing, and 8 slots do the same
    assert speed_up(replace(alone, path=(0.0,) * len(alone.path)), together) is None
