"""Selection: DEAP's fronts, of those that can be parents at all, and without its love of NaN."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.search.selection import REACH, Candidate, Objectives, survivors


def test_less_loss_wins_and_of_equal_losses_the_smaller_program() -> None:
    worse, long, short = Candidate(1, 2.0, 10), Candidate(2, 1.0, 90), Candidate(3, 1.0, 80)
    assert [one.variant for one in survivors([worse, long, short], 3)] == [3, 2, 1]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_nothing_without_a_valid_loss_comes_in(loss: float) -> None:
    with pytest.raises(ValueError, match="variant 7"):
        Candidate(7, loss, 10)


def test_the_fronts_keep_who_is_smaller_or_lighter_beside_who_is_better() -> None:
    best, lighter, smaller = (
        Candidate(1, 1.0, 90, 3.0),
        Candidate(2, 1.5, 90),
        Candidate(3, 1.2, 50, 3.0),
    )
    beaten = [Candidate(number, 1.6, 95, 3.0) for number in range(4, 8)]
    assert {one.variant for one in survivors([*beaten, best, lighter, smaller], 3)} == {1, 2, 3}


def test_the_smallest_does_not_live_by_its_size_alone() -> None:
    baseline = Candidate(0, 9.0, 1)
    others = [Candidate(number, 0.01 * number, 100 - number) for number in range(1, 30)]
    assert 0 not in {one.variant for one in survivors([baseline, *others], 4)}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1),
    st.integers(1, 9),
)
def test_the_best_lives_and_there_are_as_many_as_may_live(
    drawn: list[tuple[int, int, int]], most: int
) -> None:
    candidates = [Candidate(number, *map(float, one)) for number, one in enumerate(drawn)]  # type: ignore[arg-type]
    living = survivors(candidates, most)
    assert len(living) == min(most, len(candidates))
    assert living[0].objectives == min(one.objectives for one in candidates)
    assert [one.loss for one in living] == sorted(one.loss for one in living)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1),
    st.integers(1, 4),
)
def test_those_within_reach_are_the_first_by_the_fitness_of_everybody(
    drawn: list[tuple[int, int, int]], most: int
) -> None:
    candidates = [
        Candidate(number, loss / 2, lines, float(excess))
        for number, (loss, lines, excess) in enumerate(drawn)
    ]
    ranked = sorted(candidates, key=lambda one: Objectives(one.objectives), reverse=True)
    expected = survivors(ranked[: REACH * most], most)
    assert [one.variant for one in survivors(candidates, most)] == [one.variant for one in expected]
