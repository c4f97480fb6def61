"""Early stopping: it learns from what came to its end, and kills as few improvements as it says."""

import math
import random

import pytest

from evo.nouns import CurvePoint, Direction, Measurement, Purpose, Status, Trial
from evo.search.breeding import Plan
from evo.search.evolution import Evolution
from evo.search.pruning import FEWEST, RUNGS, Hope, Pruner
from evo.simulate.landscape import Kind, Landscape
from evo.simulate.simulation import Simulation

BUDGET, REPORTS, NOISE, EFFECT = 60.0, 20, 0.5, 1.0
HOPE = Hope(target=5.0, gap=-0.3, std=EFFECT, noise=NOISE)
"""Of a child of the champion, before it is tried."""


def curve_of(loss: float, chance: random.Random, reports: int = REPORTS) -> list[CurvePoint]:
    """A curve whose height foretells a loss, the better the later."""
    shares = [number / REPORTS for number in range(1, reports + 1)]
    slow = chance.gauss(0, 0.2)
    return [
        CurvePoint(share * BUDGET, number, 9 + loss * share + slow * (1 - share))
        for number, share in enumerate(shares)
    ]


def taught(children: int, chance: random.Random, false_kills: float = 0.02) -> Pruner:
    """A pruner that was told of a champion's children, each with a true loss and a luck."""
    pruner = Pruner(false_kills)
    pruner.add_variant(0, ())
    for _ in range(4):
        score = HOPE.target + chance.gauss(0, NOISE)
        pruner.add_trial(0, score, curve_of(score, chance), BUDGET)
    for number in range(1, children + 1):
        score = HOPE.target + chance.gauss(0.3, EFFECT) + chance.gauss(0, NOISE)
        pruner.add_variant(number, (0,))
        pruner.add_trial(number, score, curve_of(score, chance), BUDGET)
    pruner.add_variant(999, (0,))
    return pruner


def reason(pruner: Pruner, score: float, chance: random.Random, hope: Hope = HOPE) -> str:
    """Why a trial that would come to such a score is stopped, and where; empty if it isn't."""
    curve = curve_of(score, chance)
    for reports in range(1, REPORTS):
        if cause := pruner.hopeless(999, curve[:reports], BUDGET, hope):
            return cause
    return ""


def test_nothing_is_stopped_before_enough_children_came_to_their_end() -> None:
    chance = random.Random(1)
    assert not reason(taught(FEWEST - 1, chance), 50.0, chance)
    assert reason(taught(FEWEST, chance), 50.0, chance)


def test_a_disaster_is_stopped_at_the_first_rung_and_the_cause_says_why() -> None:
    chance = random.Random(2)
    cause = reason(taught(40, chance), 30.0, chance)
    assert f"behind its parent at {RUNGS[0]:.0%} of the budget" in cause
    assert "better the champion 0.00% are" in cause


@pytest.mark.parametrize("false_kills", [0.02, 0.2])
def test_it_kills_no_more_improvements_than_the_setting_says(false_kills: float) -> None:
    chance, improvements, killed, stopped = random.Random(3), 0, 0, 0
    for _ in range(8):
        pruner = taught(60, chance, false_kills)
        for _ in range(200):
            truth = HOPE.target + chance.gauss(0.3, EFFECT)
            was_stopped = bool(reason(pruner, truth + chance.gauss(0, NOISE), chance))
            improvements += truth < HOPE.target
            killed += was_stopped and truth < HOPE.target
            stopped += was_stopped
    assert killed <= 1.5 * false_kills * improvements
    assert stopped > 5 * killed
    assert stopped > 0.1 * 1600


def test_a_parent_whose_one_curve_was_lucky_has_no_child_stopped_for_it() -> None:
    chance, pruner = random.Random(10), Pruner()
    pruner.add_variant(0, ())
    pruner.add_trial(0, HOPE.target, curve_of(HOPE.target - 3.0, chance), BUDGET)
    for number in range(1, 41):
        score = HOPE.target + chance.gauss(0, 0.2)
        pruner.add_variant(number, (0,))
        pruner.add_trial(number, score, curve_of(score, chance), BUDGET)
    pruner.add_variant(999, (0,))
    assert not any(reason(pruner, HOPE.target, chance) for _ in range(20))
    guess = pruner.guess(999, curve_of(HOPE.target, chance, 12), BUDGET)
    assert guess is None or guess.loss == pytest.approx(HOPE.target, abs=4 * guess.std)


def test_at_a_rate_of_zero_it_stops_nothing() -> None:
    chance = random.Random(4)
    assert not reason(taught(40, chance, 0.0), 1e6, chance)


def test_nobody_is_compared_with_a_parent_that_was_forgotten() -> None:
    chance = random.Random(2)
    pruner = taught(40, chance)
    pruner.forget(0)
    pruner.forget(999)  # it has no trial
    assert not reason(pruner, 30.0, chance)
    assert pruner.guess(999, curve_of(30.0, chance, 10), BUDGET) is None


def test_who_is_believed_far_behind_has_to_be_further_ahead() -> None:
    chance, pruner = random.Random(5), taught(60, random.Random(5))
    far = Hope(HOPE.target - 2.0, -2.3, EFFECT, NOISE)  # the champion is far ahead of the parent
    stopped = [bool(reason(pruner, 5.5, chance, hope)) for hope in (HOPE, far) for _ in range(40)]
    assert sum(stopped[40:]) > 2 * sum(stopped[:40])


def test_a_trial_is_looked_at_once_a_rung() -> None:
    chance = random.Random(6)
    pruner, curve = taught(40, chance), curve_of(30.0, chance)
    looked = [number for number in range(1, REPORTS + 1)
              if pruner.hopeless(999, curve[:number], BUDGET, HOPE)]  # fmt: skip
    assert looked == [round(rung * REPORTS) for rung in RUNGS]


def test_what_was_stopped_is_evidence_of_the_score_that_it_would_have_had() -> None:
    chance = random.Random(7)
    pruner = taught(80, chance)
    gaps = []
    for _ in range(200):
        score = HOPE.target + chance.gauss(1.0, EFFECT)
        guess = pruner.guess(999, curve_of(score, chance, reports=12), BUDGET)
        assert guess is not None
        gaps.append((guess.loss - score) / guess.std)
    assert abs(sum(gaps)) / 200 < 0.5
    assert 0.6 < math.sqrt(sum(gap**2 for gap in gaps) / 200) < 1.7


@pytest.mark.parametrize("said", [math.nan, math.inf, -1e300, 1.7e308])
def test_a_curve_that_is_no_curve_stops_nothing_and_teaches_nothing(said: float) -> None:
    chance = random.Random(8)
    pruner = taught(40, chance)
    liar = [CurvePoint(share * BUDGET, 1, said) for share in RUNGS for _ in range(2)]
    assert not pruner.hopeless(999, liar, BUDGET, HOPE)
    assert not pruner.hopeless(999, [], BUDGET, HOPE)
    before = reason(pruner, 30.0, random.Random(9))
    pruner.add_variant(1000, (0,))
    pruner.add_trial(1000, 5.0, liar, BUDGET)
    assert reason(pruner, 30.0, random.Random(9)).split("%")[0] == before.split("%")[0]
    assert pruner.guess(999, [], BUDGET) is None


def test_only_first_trials_are_stopped_and_never_the_baseline() -> None:
    search = Evolution(Plan(Direction.MINIMISE, Landscape(Kind.SPARSE, 3).founders, 8, 16, 2))
    Simulation(search, Landscape(Kind.SPARSE, 3), 0.3, 1, 3).run(60)
    awful = [CurvePoint(share / 10, share, 1e4) for share in range(1, 3)]
    child = next(one for one in search.living() if one)
    assert search.hopeless(Trial(900, child, 0, Purpose.FIRST, 1.0, 1.0), awful)
    assert not search.hopeless(Trial(900, child, 0, Purpose.REPLICATE, 1.0, 1.0), awful)
    assert not search.hopeless(Trial(901, 0, 0, Purpose.FIRST, 1.0, 1.0), awful)


def test_a_stopped_trial_lowers_what_is_believed_of_its_variant_and_gives_it_no_score() -> None:
    search = Evolution(Plan(Direction.MINIMISE, Landscape(Kind.SPARSE, 3).founders, 8, 16, 2))
    simulation = Simulation(search, Landscape(Kind.SPARSE, 3), 0.3, 1, 3)
    found = simulation.run(80)
    assert found.pruned > 3
    lone = next(one for one in search.living() if one != search.champion)
    before = search._beliefs.of.mean(lone)
    curve = tuple(CurvePoint(share / 10, share, 1e3) for share in range(1, 3))
    stopped = Measurement(Status.PRUNED, cause="behind", curve=curve)
    search.tell(Trial(9000, lone, 0, Purpose.FIRST, 1.0, 1.0, measurement=stopped))
    after = search.estimate(lone)
    assert after is not None and after.mean > before
