"""The bandit: what brings most for its price is asked most, nothing starves, and replays agree."""

import random
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.nouns import (
    Direction,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Resources,
    Status,
    Trial,
    Variant,
)
from evo.search.bandit import FLOOR, Arm, Bandit

GOOD, POOR, DEAR = Arm("mutate", "", "good"), Arm("mutate", "", "poor"), Arm("mutate", "", "dear")
PRIOR = {GOOD: 1.0, POOR: 1.0, DEAR: 2.0}


class History:
    """Tells a bandit of proposals on a baseline of score 10."""

    def __init__(self, prior: dict[Arm, float] | None = None) -> None:
        self.bandit = Bandit(Direction.MINIMISE, prior or PRIOR)
        self.records: list[Proposal | Variant | Trial] = []
        self.tell(Arm("baseline"), 10.0, parents=())

    def tell(
        self,
        arm: Arm,
        score: float | None,
        *,
        usd: float = 0.0,
        seconds: float = 60.0,
        parents: tuple[int, ...] = (0,),
    ) -> None:
        number = sum(isinstance(one, Proposal) for one in self.records)
        status = Status.CRASHED if score is None else Status.SCORED
        measurement = Measurement(status, score, resources=Resources(total_seconds=seconds))
        self._add(
            Proposal(number, arm.operator, parents, Outcome.ACCEPTED, role=arm.role,
                     model=arm.model, cost_usd=usd)
        )  # fmt: skip
        self._add(
            Variant(
                number, "", parents, arm.operator, "", "", "", "", 1, number, datetime(2026, 1, 1)
            )
        )
        self._add(Trial(number, number, 0, Purpose.FIRST, 60.0, 1.0, measurement=measurement))

    def _add(self, record: Proposal | Variant | Trial) -> None:
        self.records.append(record)
        self.bandit.tell(record)


def test_before_anything_is_known_the_prior_shares_rule() -> None:
    assert History().bandit.shares() == {GOOD: 0.25, POOR: 0.25, DEAR: 0.5}


def test_what_gains_is_asked_more_often_and_what_never_does_keeps_its_floor() -> None:
    history = History()
    for _ in range(60):
        history.tell(GOOD, 9.0)
        history.tell(POOR, 11.0)
        history.tell(DEAR, None)
    shares = history.bandit.shares()
    assert shares[GOOD] > 0.6
    assert shares[POOR] >= FLOOR * 0.25
    assert shares[DEAR] >= FLOOR * 0.5
    assert sum(shares.values()) == pytest.approx(1.0)


def test_of_two_that_gain_as_much_the_cheaper_and_the_quicker_one_is_asked_more() -> None:
    history = History({GOOD: 1.0, POOR: 1.0, DEAR: 1.0})
    for _ in range(40):
        history.tell(GOOD, 9.0)
        history.tell(POOR, 9.0, seconds=240.0)
        history.tell(DEAR, 9.0, usd=0.5)
    shares = history.bandit.shares()
    assert shares[GOOD] > shares[POOR] > shares[DEAR]


def test_a_record_fades() -> None:
    history = History({GOOD: 1.0, POOR: 1.0})
    for _ in range(30):
        history.tell(GOOD, 9.0)
        history.tell(POOR, 10.5)
    before = history.bandit.shares()
    for _ in range(200):
        history.tell(GOOD, 10.5)
        history.tell(POOR, 9.0)
    after = history.bandit.shares()
    assert before[GOOD] > before[POOR]
    assert after[POOR] > after[GOOD]


def test_an_arm_that_is_taken_away_and_comes_back_is_remembered() -> None:
    history = History({GOOD: 1.0, POOR: 1.0})
    for _ in range(20):
        history.tell(GOOD, 9.0)
        history.tell(POOR, 11.0)
    before = history.bandit.shares()
    history.bandit.offer({POOR: 1.0, DEAR: 1.0})
    shares = history.bandit.shares()
    assert set(shares) == {POOR, DEAR}
    assert shares[DEAR] > shares[POOR], "what is new is taken for average"
    history.bandit.offer({GOOD: 1.0, POOR: 1.0})
    assert history.bandit.shares() == before


def test_a_gain_counts_over_the_better_parent_and_once_for_a_variant() -> None:
    history = History({GOOD: 1.0, POOR: 1.0})
    history.tell(POOR, 5.0)
    for _ in range(20):
        history.tell(GOOD, 7.0, parents=(0, 1))
    assert history.bandit.shares()[POOR] > history.bandit.shares()[GOOD]
    before, last = history.bandit.shares(), history.records[-1]
    history.tell(POOR, 4.0)
    once, again = history.bandit.shares(), history.records[-1]
    assert once != before
    for trial in (last, again):  # people have both retried
        history.bandit.tell(trial)
    assert history.bandit.shares() == once


def test_what_is_maximised_gains_by_more() -> None:
    bandit = Bandit(Direction.MAXIMISE, {GOOD: 1.0, POOR: 1.0})
    history = History({GOOD: 1.0, POOR: 1.0})
    for _ in range(20):
        history.tell(GOOD, 12.0)
        history.tell(POOR, 8.0)
    for record in history.records:
        bandit.tell(record)
    assert bandit.shares()[GOOD] > bandit.shares()[POOR]


@given(st.integers(0, 1000))
def test_told_the_same_it_shares_the_same_and_every_share_is_at_least_its_floor(seed: int) -> None:
    chance, history = random.Random(seed), History()
    for _ in range(chance.randrange(40)):
        score = chance.choice([None, chance.gauss(10, 1)])
        history.tell(
            chance.choice(list(PRIOR)), score, usd=chance.random(), seconds=chance.random()
        )
    again = Bandit(Direction.MINIMISE, PRIOR)
    for record in history.records:
        again.tell(record)
    shares = history.bandit.shares()
    assert shares == again.shares()
    assert sum(shares.values()) == pytest.approx(1.0)
    for arm, prior in PRIOR.items():
        assert shares[arm] >= FLOOR * prior / sum(PRIOR.values()) - 1e-12
