"""Attacks are tried in every tier that works here."""

import functools
from collections.abc import Iterator

import pytest

from evo.arena.plan import Tier
from evo.arena.walls import TRIED, survey
from tests.attacks.world import World, world


@functools.cache
def good_tiers() -> tuple[Tier, ...]:
    return tuple(found.tier for found in survey(all_of_them=True) if found.good)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "tier" in metafunc.fixturenames:
        good = good_tiers()
        metafunc.parametrize(
            "tier",
            [
                pytest.param(
                    tier,
                    id=str(tier),
                    marks=[] if tier in good else pytest.mark.skip(reason=f"no {tier} here"),
                )
                for tier in TRIED
            ],
        )


@pytest.fixture(scope="session")
def shared() -> Iterator[World]:
    """One world for all attacks: each test asserts that it is as it was."""
    with world() as made:
        yield made
