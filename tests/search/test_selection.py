"""Selection: DEAP's tournament, without its global random state and its love of NaN."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.search.selection import Candidate, survivors, tournament


def test_less_loss_wins_and_of_equal_losses_the_smaller_program() -> None:
    worse, long, short = Candidate(1, 2.0, 10), Candidate(2, 1.0, 90), Candidate(3, 1.0, 80)
    assert [one.variant for one in survivors([worse, long, short], 3)] == [3, 2, 1]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_nothing_without_a_valid_loss_comes_in(loss: float) -> None:
    with pytest.raises(ValueError, match="variant 7"):
        Candidate(7, loss, 10)


def test_a_tournament_among_all_finds_the_best() -> None:
    candidates = [Candidate(number, float(-number), 1) for number in range(5)]
    drawn = [tournament(candidates, 5, random.Random(seed)).variant for seed in range(50)]
    assert max(set(drawn), key=drawn.count) == 4
    assert len(set(drawn)) > 1  # with replacement, the best isn't always drawn


@given(st.integers(), st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_a_draw_depends_on_the_chance_that_is_given_and_moves_no_other(
    seed: int, losses: list[float]
) -> None:
    candidates = [Candidate(number, loss, 1) for number, loss in enumerate(losses)]
    random.seed(1)
    state = random.getstate()
    first = tournament(candidates, 3, random.Random(seed))
    assert random.getstate() == state
    random.seed(2)
    assert tournament(candidates, 3, random.Random(seed)) is first
