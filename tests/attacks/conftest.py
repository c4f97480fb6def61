"""Attacks are tried in every tier that works here."""

import functools
from collections.abc import Iterator

import pytest

from evo.sandbox.plan import Tier
from evo.sandbox.walls import TRIED, survey
from tests.attacks.world import World, world


@functools.cache
def good_tiers() -> tuple[Tier, ...]:
    return tuple(found.tier for found in survey(all_of_them=True) if found.good)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "tier" in metafunc.fixturenames:
        metafunc.parametrize(
            "tier", [pytest.param(tier, id=str(tier), marks=_marks(tier)) for tier in TRIED]
        )


def _marks(tier: Tier) -> list[pytest.MarkDecorator]:
    """The tier that trials would run in is always tried, the others by the slow tests."""
    good = good_tiers()
    if tier not in good:
        return [pytest.mark.skip(reason=f"no {tier} here")]
    return [] if tier is good[0] else [pytest.mark.slow]


@pytest.fixture(scope="session")
def shared() -> Iterator[World]:
    """One world for all attacks: each test asserts that it is as it was."""
    with world() as made:
        yield made
