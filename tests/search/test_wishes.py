"""What people pin and ban, under every strategy."""

import random

import pytest

from evo.nouns import Favour, Proposal, Trial, Variant, Wish
from evo.search.rivals import STRATEGIES
from evo.search.search import Search
from tests.search.tape import PLAN, Tape, explore


def wished(strategy: str, variant: int, favour: Favour, *, then: int = 60) -> Tape:
    """A search of which somebody wants something half way."""
    world = explore(strategy, 30)
    world.search.tell(Wish(variant, favour))
    world.briefs.clear()
    for number in range(100, 100 + then):
        brief = world.search.ask(number, random.Random(number))
        if brief is not None:
            world.briefs.append(brief)
    return world


def asked_of(world: Tape, variant: int) -> int:
    return sum(variant in brief.parents for brief in world.briefs)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_banned_champion_gives_way_to_the_one_before_and_is_built_on_no_more(
    strategy: str,
) -> None:
    champion = explore(strategy, 30).search.champion
    assert champion
    world = wished(strategy, champion, Favour.BANNED)
    assert world.search.champion not in (None, champion)
    assert champion not in world.search.living()
    assert world.briefs
    assert asked_of(world, champion) == 0
    assert champion not in world.search.wanted_trials()


@pytest.mark.parametrize("strategy", [one for one in STRATEGIES if one != "best-of-n"])
def test_what_is_pinned_stays_among_the_parents_however_bad_it_is(strategy: str) -> None:
    before = explore(strategy, 30)
    worst = max(before.scored, key=before.truth)
    world = wished(strategy, worst, Favour.PINNED)
    assert worst in world.search.living()
    assert world.search.champion == before.search.champion
    assert asked_of(world, worst) >= 6
    world.search.tell(Wish(worst, Favour.NONE))
    assert world.search.living() == before.search.living()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_wishes_are_part_of_what_is_replayed(strategy: str) -> None:
    world = explore(strategy, 30)
    champion = world.search.champion
    assert champion
    told: list[Proposal | Variant | Trial | Wish] = [*world.records]
    told[60:60] = [Wish(champion, Favour.BANNED), Wish(1, Favour.PINNED)]
    told.append(Wish(champion, Favour.NONE))
    twins: list[Search] = [STRATEGIES[strategy](PLAN), STRATEGIES[strategy](PLAN)]
    for record in told:
        standings = [twin.tell(record) for twin in twins]
        assert standings[0] == standings[1]
    asked = [twin.ask(999, random.Random(5)) for twin in twins]
    assert asked[0] == asked[1]
    assert twins[0].champion == twins[1].champion
    assert twins[0].living() == twins[1].living()


def test_a_search_of_banned_variants_alone_has_nobody_to_build_on() -> None:
    world = explore("greedy", 30)
    for variant in world.genes:
        world.search.tell(Wish(variant, Favour.BANNED))
    assert world.search.champion is None
    assert world.search.living() == ()
    assert world.search.ask(999, random.Random(1)) is None
