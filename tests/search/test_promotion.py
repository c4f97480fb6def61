"""Promotion: one lucky or unlucky number proves nothing, and a champion may go back."""

from datetime import datetime

import numpy as np
import pytest

from evo.nouns import Variant
from evo.search.estimates import Estimates
from evo.search.ledger import Entry
from evo.search.promotion import is_doubtful, is_proven

NOISE = 1.0


def variant(number: int) -> Variant:
    return Variant(
        number, "", (), "tune", "", "", "", str(number), 10, number, datetime(2026, 1, 1)
    )


class Contest:
    """A champion (0), a challenger (1), and others measured thrice: they tell the noise."""

    def __init__(
        self,
        champion: list[float],
        challenger: list[float],
        others: int = 6,
        noise: float = NOISE,
    ) -> None:
        chance, self.of = np.random.default_rng(1), Estimates()
        self.sides = [Entry(variant(0), champion), Entry(variant(1), challenger)]
        for number in range(2 + others):
            self.of.add_variant(number, {f"d{number}"} if number else ())
        for entry in self.sides:
            for loss in entry.losses:
                self.of.add_trial(entry.variant.id, loss)
        for number in range(2, 2 + others):
            value = 10 + chance.normal(0, 2)
            for _ in range(3):
                self.of.add_trial(number, value + chance.normal(0, noise))

    @property
    def proven(self) -> bool:
        return is_proven(self.of, self.sides[1], self.sides[0], 0.95)


def test_a_challenger_that_is_better_every_time_is_proven() -> None:
    assert Contest([10.2, 9.8, 10.0], [5.1, 4.9, 5.0]).proven
    assert not Contest([10.2, 9.8, 10.0], [10.1, 9.9, 10.0]).proven


def test_the_number_that_selected_a_challenger_does_not_prove_it() -> None:
    assert not Contest([10.2, 9.8, 10.0], [1.0, 9.7, 9.9]).proven


def test_an_unlucky_number_of_the_champion_does_not_prove_its_challenger() -> None:
    assert not Contest([17.0, 9.5, 9.6], [9.4, 9.0, 9.5]).proven


def test_with_hardly_a_replicate_noise_is_not_trusted() -> None:
    champion, challenger = [10.3, 9.7], [8.6, 9.0]
    assert not Contest(champion, challenger, others=0).proven
    assert Contest(champion, challenger, others=12, noise=0.3).proven


def test_a_champion_goes_back_when_later_trials_say_that_it_is_worse() -> None:
    contest = Contest([10.0, 10.1], [7.0, 7.5])
    assert not is_doubtful(contest.of, 1, 0)
    for _ in range(4):
        contest.of.add_trial(1, 13.0)
    assert is_doubtful(contest.of, 1, 0)


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_what_is_left_without_a_trial_is_what_was_believed_before_it(left_out: int) -> None:
    losses = [8.0, 9.5, 9.0]
    whole = Contest([10.0, 10.3], losses)
    rest = Estimates()
    for number in range(8):
        rest.add_variant(number, {f"d{number}"} if number else ())
    rest.variances = whole.of.variances
    for trial, (index, loss) in enumerate(zip(whole.of._of, whole.of._losses, strict=True)):
        if trial != 2 + left_out:  # the champion's two come first
            rest._of = np.append(rest._of, index)
            rest._losses.append(loss)
            rest._vague.append(0.0)
    rest._rebuild()
    expected = rest.difference(1, 0)
    assert whole.of.difference_without(1, 0, losses[left_out]) == pytest.approx(expected, rel=1e-3)
