"""Replicates that fail, and variants that are caught cheating: neither holds up a search."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from evo.nouns import (
    Brief,
    Favour,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Standing,
    Status,
    Trial,
    Variant,
    Wish,
)
from evo.search import evolution
from evo.search.estimates import Estimates
from evo.search.evolution import MOST_REPLICATES, RATION
from evo.search.ledger import MOST_FAILURES
from evo.search.rivals import STRATEGIES
from evo.search.search import Search
from tests.search.tape import PLAN, variant_of

FAILURES = [Status.CRASHED, Status.OUT_OF_MEMORY, Status.TIMED_OUT]
REPLICATED = ["population", "greedy-replicated"]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many proofs as it takes, at once: how they are rationed is another matter."""
    monkeypatch.setattr(evolution, "PATIENCE", 0)
    monkeypatch.setattr(evolution, "RATION", 1.0)


LUCKY, PLAIN = 2, 1
"""Variants of a world: one with a first number that is too good, and one as it should be."""


class World:
    """A search that is told of trials by hand, and what it was told."""

    def __init__(
        self,
        strategy: str,
        lucky: float = 2.0,
        others: int = 3,
        confirmations: int = 2,
        slots: int = 1,
    ) -> None:
        plan = replace(PLAN, confirmations=confirmations, slots=slots)
        self.search: Search = STRATEGIES[strategy](plan)
        self.records: list[Proposal | Variant | Trial | Wish] = []
        for score in (5.0, 5.2, lucky, *(5.1 + 0.1 * (one % 3) for one in range(others))):
            self.found(score)

    def found(self, score: float) -> None:
        """A new variant and its first trial: the baseline, or a founder on it."""
        number = sum(isinstance(one, Variant) for one in self.records)
        operator, parents = ("founder", (0,)) if number else ("baseline", ())
        subject = str(number) if number else ""
        self.tell(Proposal(number, operator, parents, Outcome.ACCEPTED, subject=subject))
        self.tell(variant_of(number, Brief(number, operator, parents, subject)))
        self.end(number, score, purpose=Purpose.FIRST)

    def of(self, variant: int) -> list[Trial]:
        """All trials of a variant."""
        trials = [one for one in self.records if isinstance(one, Trial)]
        return [one for one in trials if one.variant == variant]

    def tell(self, record: Proposal | Variant | Trial | Wish) -> Standing:
        self.records.append(record)
        return self.search.tell(record)

    def end(
        self,
        variant: int,
        score: float | None,
        status: Status = Status.SCORED,
        purpose: Purpose = Purpose.REPLICATE,
    ) -> Standing:
        """One more trial of a variant came to its end."""
        number = sum(isinstance(one, Trial) for one in self.records)
        measurement = Measurement(status, score)
        return self.tell(Trial(number, variant, 0, purpose, 1.0, 1.0, measurement=measurement))

    def crown(self, variant: int, score: float) -> None:
        """Measures a variant, and whoever leads, until it leads itself."""
        while self.search.champion != variant:
            assert len(self.records) < 100
            self.end(variant, score)
            for one in set(self.search.wanted_trials()) - {variant}:
                self.end(one, 5.1)

    def parents(self) -> set[int]:
        """Who is built on."""
        asked = [self.search.ask(100 + n, random.Random(n)) for n in range(60)]
        return {parent for brief in asked if brief is not None for parent in brief.parents}

    def assert_replay_agrees(self, strategy: str) -> None:
        twin = STRATEGIES[strategy](PLAN)
        for record in self.records:
            twin.tell(record)
        assert twin.champion == self.search.champion
        assert twin.living() == self.search.living()
        assert twin.wanted_trials() == self.search.wanted_trials()


@pytest.mark.parametrize("strategy", REPLICATED)
@pytest.mark.parametrize("status", FAILURES)
def test_a_challenger_whose_replicates_fail_is_given_up(strategy: str, status: Status) -> None:
    world = World(strategy)
    assert world.search.wanted_trials() == {LUCKY: 2, 0: 2}
    for _ in range(MOST_FAILURES):
        assert LUCKY in world.search.wanted_trials()
        world.end(LUCKY, None, status)
    assert world.search.wanted_trials() == {}
    assert world.search.champion == 0
    world.assert_replay_agrees(strategy)


@pytest.mark.parametrize("strategy", REPLICATED)
def test_who_comes_after_one_that_was_given_up_is_measured_and_promoted(strategy: str) -> None:
    world = World(strategy)
    for _ in range(MOST_FAILURES):
        world.end(LUCKY, None, Status.TIMED_OUT)
    world.end(PLAIN, 2.0)
    world.crown(PLAIN, 2.0)


@pytest.mark.parametrize("strategy", REPLICATED)
def test_a_champion_that_can_not_be_measured_any_more_gives_way_all_the_same(
    strategy: str,
) -> None:
    world = World(strategy)
    for _ in range(MOST_FAILURES):
        assert 0 in world.search.wanted_trials()
        world.end(0, None, Status.OUT_OF_MEMORY)
    while world.search.champion == 0:
        assert set(world.search.wanted_trials()) == {LUCKY}
        world.end(LUCKY, 2.0)
    assert world.search.champion == LUCKY


def test_failures_count_among_the_trials_that_one_variant_may_have() -> None:
    world = World("population", others=120, confirmations=MOST_REPLICATES)
    world.end(LUCKY, None, Status.CRASHED)
    while LUCKY in (wanted := world.search.wanted_trials()):
        for variant in wanted:
            world.end(variant, 2.0 if variant == LUCKY else 5.1)
    assert len(world.of(LUCKY)) == MOST_REPLICATES
    assert world.search.champion == 0


def test_proofs_that_fail_are_rationed_as_those_that_succeed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evolution, "RATION", RATION)
    world, caught = World("population", others=0), 0
    for _ in range(20):
        world.found(2.0)
    while wanted := world.search.wanted_trials():
        caught += 1
        world.end(max(wanted), None, Status.DISHONEST)
    assert 0 < caught <= 1 + 2 * RATION * 20


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_is_caught_cheating_has_no_fitness_and_is_no_parent_any_more(strategy: str) -> None:
    world = World(strategy)
    assert LUCKY in world.search.living() or strategy == "greedy-replicated"
    assert world.end(LUCKY, None, Status.DISHONEST) is Standing.IGNORED
    world.end(LUCKY, 1.0)  # another of its trials had begun before
    assert world.search.champion != LUCKY
    assert LUCKY not in world.search.living()
    assert world.search.estimate(LUCKY) is None
    assert LUCKY not in world.search.wanted_trials()
    assert LUCKY not in world.parents()
    world.tell(Wish(LUCKY, Favour.PINNED))
    assert LUCKY not in world.search.living()
    world.assert_replay_agrees(strategy)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_champion_that_is_caught_gives_way_to_the_proven_one_before(strategy: str) -> None:
    world = World(strategy, lucky=5.2 if strategy in REPLICATED else 2.0)
    if strategy in REPLICATED:
        world.crown(PLAIN, 4.5)
        world.crown(LUCKY, 2.0)
    assert world.search.champion == LUCKY
    world.end(LUCKY, None, Status.DISHONEST)
    assert world.search.champion == (PLAIN if strategy in REPLICATED else 0)
    world.assert_replay_agrees(strategy)


@pytest.mark.parametrize("strategy", REPLICATED)
def test_when_all_that_led_are_caught_the_baseline_leads(strategy: str) -> None:
    world = World(strategy, lucky=5.2)
    world.crown(PLAIN, 4.5)
    world.crown(LUCKY, 2.0)
    world.end(PLAIN, None, Status.DISHONEST)
    assert world.search.champion == LUCKY
    world.end(LUCKY, None, Status.DISHONEST)
    assert world.search.champion == 0
    world.end(0, None, Status.DISHONEST)
    assert world.search.champion == 0, "what all others are compared with"
    world.assert_replay_agrees(strategy)


def test_what_a_cheat_scored_says_nothing_of_its_relatives_any_more() -> None:
    world, honest = World("population"), STRATEGIES["population"](PLAN)
    world.end(LUCKY, None, Status.DISHONEST)
    world.end(LUCKY, 1.0)
    for record in world.records:
        if not isinstance(record, Trial) or record.variant != LUCKY:
            honest.tell(record)
    for variant in (0, 1, 3, 4, 5):
        ours, theirs = world.search.estimate(variant), honest.estimate(variant)
        assert ours is not None and theirs is not None
        # Variances aren't estimated anew, so it isn't the same to the last digit.
        assert ours.mean == pytest.approx(theirs.mean, abs=0.05)


def test_a_variant_that_is_forgotten_leaves_the_posterior_that_there_was_without_it() -> None:
    made, plain = Estimates(), Estimates()
    for one in (made, plain):
        for variant in range(12):
            one.add_variant(variant, {f"d{variant % 5}"} if variant else ())
    for trial, variant in enumerate([0, 1, 2, 3, 4, 6, 7, 8, 0, 2, 9, 10]):
        if variant != 8:
            plain.add_trial(variant, 5.0 + 0.1 * (trial % 4))
        made.add_trial(variant, 5.0 + 0.1 * (trial % 4))
    made.forget(8)
    made.forget(11)  # it has no trial
    plain.variances = made.variances
    plain._rebuild()
    for variant in range(12):
        assert made.mean(variant) == pytest.approx(plain.mean(variant))
        assert made.std(variant) == pytest.approx(plain.std(variant))


def test_estimates_go_on_when_their_only_trial_is_forgotten() -> None:
    made = Estimates()
    made.add_variant(0, ())
    made.add_variant(1, {"d1"})
    made.add_trial(1, 3.0)
    made.forget(1)
    made.add_variant(2, {"d2"})
    made.add_trial(0, 5.0)
    assert made.mean(0) == pytest.approx(5.0, rel=0.01)
