"""What every strategy keeps to, and what each is for."""

import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.nouns import (
    Brief,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Resources,
    Standing,
    Status,
    Trial,
    Variant,
)
from evo.search import evolution
from evo.search.bandit import Arm
from evo.search.evolution import LAST_TRIALS
from evo.search.rivals import STRATEGIES
from evo.search.search import Search
from tests.search.tape import PLAN, explore, variant_of
from tests.search.test_failures import LUCKY, World

STEPS = 40


@pytest.fixture
def proofs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as it takes: how they wait and are rationed is another matter."""
    monkeypatch.setattr(evolution, "PATIENCE", 0)
    monkeypatch.setattr(evolution, "RATION", 1.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_baseline_comes_first_and_then_founders_are_drawn_once(strategy: str) -> None:
    world = explore(strategy, STEPS)
    assert world.briefs[0].operator == "baseline"
    first = world.briefs[1:5]
    assert {brief.operator for brief in first} == {"founder"}
    assert len({brief.subject for brief in first}) == PLAN.first_founders
    assert {brief.parents for brief in first} == {(0,)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_models_are_asked_from_the_start_beside_the_founders(strategy: str) -> None:
    world, arm = explore(strategy, 1), Arm("mutate", "optimizer", "one")
    chance, asked = random.Random(1), list[Brief | None]()
    world.search.offer({arm: 8.0, Arm("cross", "", "one"): 3.0})
    for number in range(1, 30):
        asked.append(world.search.ask(number, chance))
    first = [brief for brief in asked[: 2 * PLAN.first_founders] if brief is not None]
    assert {brief.operator for brief in first} == {"founder", "mutate"}
    assert {brief.parents for brief in first} == {(0,)}
    assert {(brief.role, brief.model) for brief in first if brief.operator == "mutate"} == {
        ("optimizer", "one")
    }
    founders = [brief.subject for brief in asked if brief and brief.operator == "founder"]
    assert len(set(founders)) == len(founders) >= PLAN.first_founders


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(seed=st.integers(0, 999), noise=st.sampled_from([0.0, 0.1, 1.0]), trials=st.integers(2, 40))
@settings(max_examples=8, deadline=None)
def test_told_the_same_records_it_asks_the_same_briefs(
    strategy: str, seed: int, noise: float, trials: int
) -> None:
    world = explore(strategy, trials, seed=seed, noise=noise)
    twin = STRATEGIES[strategy](PLAN)
    assert [twin.tell(record) for record in world.records] == world.standings
    assert twin.champion == world.search.champion
    for one in (twin, world.search):
        one.expect(None)  # how many trials are left is no record: an engine says it anew
    assert twin.wanted_trials() == world.search.wanted_trials()
    assert twin.living() == world.search.living()
    for number in range(999, 1009):
        asked = [one.ask(number, random.Random(seed)) for one in (twin, world.search)]
        assert asked[0] == asked[1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_living_are_bounded_and_have_scores(strategy: str) -> None:
    world = explore(strategy, STEPS, noise=0.1)
    living = world.search.living()
    assert 1 <= len(living) <= PLAN.population_size
    assert set(living) <= world.scored


@pytest.mark.usefixtures("proofs_at_once")
@pytest.mark.parametrize("strategy", ["population", "greedy"])
def test_without_noise_the_champion_is_the_best_that_was_tried(strategy: str) -> None:
    world = explore(strategy, STEPS)
    assert world.search.champion is not None
    trials = [one for one in world.records if isinstance(one, Trial)]
    late = {one.variant for one in trials[-2:]}  # there is no trial left to prove them
    best = min(world.truth(one) for one in world.scored - late)
    assert world.truth(world.search.champion) <= best < world.truth(0)


def test_a_lucky_number_is_measured_again_before_it_leads() -> None:
    world = explore("population", STEPS, seed=3, noise=0.5)
    promoted = [
        record
        for record, standing in zip(world.records, world.standings, strict=True)
        if standing is Standing.CHAMPION
    ]
    assert promoted[0].variant == 0  # type: ignore[union-attr]
    for record in promoted[1:]:
        assert isinstance(record, Trial)
        assert record.purpose is Purpose.REPLICATE


def told(search: Search, *trials: tuple[int, float, float | None]) -> None:
    """Tells a search of trials: variant, score, and score on holdout."""
    for number, (variant, score, holdout) in enumerate(trials):
        measurement = Measurement(Status.SCORED, score, holdout_score=holdout)
        search.tell(Trial(number, variant, 0, Purpose.FIRST, 1.0, 1.0, measurement=measurement))


def test_a_challenger_is_measured_again_when_it_still_leads_after_the_next_trial() -> None:
    world = World("population", lucky=5.3, others=6)
    for score in (4.6, 3.0):  # the second overtakes the first
        assert world.search.wanted_trials() == {}
        world.found(score)
    assert world.search.wanted_trials() == {}
    world.found(5.2)
    assert world.search.wanted_trials() == {10: 2, 0: 2}


def test_the_last_trials_of_a_run_go_to_whoever_leads_though_the_ration_is_spent() -> None:
    world = World("population", lucky=5.3, others=6)
    for _ in range(2):
        world.end(1, 5.1)
    world.found(1.0)
    for left, wanted in ((LAST_TRIALS + 1, {}), (LAST_TRIALS, {9: 2, 0: 2}), (None, {})):
        world.search.expect(left)
        assert world.search.wanted_trials() == wanted
    world = World("population", lucky=5.3, others=6, slots=2)
    for _ in range(2):
        world.end(1, 5.1)
    world.found(1.0)
    world.search.expect(LAST_TRIALS + 1)
    assert world.search.wanted_trials() == {9: 2, 0: 2}


@pytest.mark.usefixtures("proofs_at_once")
def test_a_challenger_that_is_not_better_on_holdout_is_not_promoted_and_blocks_nobody() -> None:
    search = STRATEGIES["population"](PLAN)
    for number in range(3):
        brief = search.ask(number, random.Random(number))
        assert brief is not None
        search.tell(Proposal(number, brief.operator, brief.parents, Outcome.ACCEPTED))
        search.tell(variant_of(number, brief))
        if number == 0:
            told(search, (0, 5.0, None), (0, 5.1, 6.0))
    told(search, (1, 4.0, None), (1, 4.1, 6.5))
    assert search.champion == 0
    assert search.wanted_trials() == {}
    told(search, (2, 4.5, None))
    assert search.wanted_trials() == {2: 2}
    told(search, (2, 4.4, 5.5))
    assert search.champion == 2


@pytest.mark.usefixtures("proofs_at_once")
def test_a_challenger_that_was_a_little_unlucky_on_holdout_is_measured_until_it_is_better() -> None:
    world = World("population", lucky=5.2)
    told(world.search, (0, 4.6, 5.0), (0, 5.4, 5.0))
    told(world.search, (LUCKY, 3.0, None), (LUCKY, 3.4, 5.1), (LUCKY, 2.6, None))
    assert world.search.champion == 0
    assert world.search.wanted_trials()
    for _ in range(3):
        told(world.search, (LUCKY, 3.0, 3.5), (0, 5.0, 5.0))
    assert world.search.champion == LUCKY


@pytest.mark.usefixtures("proofs_at_once")
def test_a_champion_goes_back_when_later_trials_say_that_it_was_lucky() -> None:
    world = World("population", lucky=5.2)
    world.crown(LUCKY, 4.0)
    for _ in range(6):
        world.end(LUCKY, 7.0)
    assert world.search.champion == 0
    world.assert_replay_agrees("population")


def grafted(world: World, parent: int, founder: str) -> int:
    """A new variant of a world that waits for its first trial."""
    number = sum(isinstance(one, Variant) for one in world.records)
    world.tell(variant_of(number, Brief(number, "founder", (parent,), founder)))
    return number


def test_a_diff_that_did_harm_gets_no_other_trial_and_one_that_was_never_measured_does() -> None:
    world = World("population", lucky=5.2)
    world.found(9.0)
    world.found(3.0)
    assert world.search.foregoes(grafted(world, 1, "6"))
    assert not world.search.foregoes(grafted(world, 1, "7"))
    waits = grafted(world, 0, "11")
    assert not world.search.foregoes(waits)
    assert not world.search.foregoes(grafted(world, 1, "11"))


def test_slots_do_not_all_try_what_is_under_way() -> None:
    world = World("population", lucky=3.0)
    for _ in range(2):
        world.found(3.0)
    asked, number = list[str](), 100
    while len(asked) < 6:
        brief = world.search.ask(number, random.Random(number))
        assert brief is not None
        asked.append(brief.operator)
        world.tell(Proposal(number, brief.operator, brief.parents, Outcome.ACCEPTED))
        world.tell(replace(variant_of(number, brief), diff=f"+{number}"))
        number += 1
    assert asked[0] == "crossover"  # of all that helped
    assert "crossover" not in asked[1:3]


@pytest.mark.parametrize("limit", [None, 200.0])
def test_of_equals_the_one_within_the_memory_limit_comes_first(limit: float | None) -> None:
    search = STRATEGIES["population"](replace(PLAN, memory_limit_mb=limit))
    for number, (score, memory) in enumerate([(5.0, 100.0), (4.0, 900.0), (4.0, 100.0)]):
        operator, parents = ("founder", (0,)) if number else ("baseline", ())
        search.tell(variant_of(number, Brief(number, operator, parents, str(number))))
        used = Resources(peak_memory_mb=memory)
        measured = Measurement(Status.SCORED, score, resources=used)
        search.tell(Trial(number, number, 0, Purpose.FIRST, 1.0, 1.0, measurement=measured))
    assert search.living()[:2] == ((1, 2) if limit is None else (2, 1))


def test_greedy_believes_the_first_number() -> None:
    world = explore("greedy", STEPS, seed=3, noise=0.5)
    purposes = {record.purpose for record in world.records if isinstance(record, Trial)}
    assert purposes == {Purpose.FIRST}
    assert world.search.living() == (world.search.champion,)


def lineage(variant: int, parents: Mapping[int, tuple[int, ...]]) -> set[int]:
    """A variant and all that it descends from."""
    return {variant}.union(*(lineage(one, parents) for one in parents[variant]))


def test_crossovers_join_lines_that_are_not_ancestors_of_each_other() -> None:
    world = explore("population", 80, noise=0.2)
    crossings = [brief for brief in world.briefs if brief.operator == "crossover"]
    assert crossings
    parents = {one.id: one.parents for one in world.records if isinstance(one, Variant)}
    for brief in crossings:
        for ours, theirs in permutations(brief.parents, 2):
            assert ours not in lineage(theirs, parents)
    assert max(len(brief.parents) for brief in crossings) > 2
    assert len({frozenset(brief.parents) for brief in crossings}) == len(crossings)


def test_every_operator_gets_its_turn() -> None:
    worlds = [explore("population", 80, seed=seed, noise=1.0) for seed in range(3)]
    operators = {brief.operator for world in worlds for brief in world.briefs}
    assert operators == {"baseline", "founder", "tune", "crossover", "ablate"}


def test_a_founder_is_grafted_only_where_it_is_missing() -> None:
    world = explore("population", 80)
    for brief in world.briefs:
        if brief.operator == "founder":
            assert brief.subject in PLAN.founders
            assert int(brief.subject) not in world.genes[brief.parents[0]]


def test_a_baseline_without_a_score_lets_nothing_breed() -> None:
    search = STRATEGIES["population"](PLAN)
    assert search.ask(0, random.Random(0)) is not None
    assert search.ask(1, random.Random(0)) is None  # its proposal isn't back yet
    assert search.champion is None
    assert search.wanted_trials() == {}
