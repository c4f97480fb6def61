"""The shelf: sources and kinship, read by operators while the engine goes on writing."""

import threading
from datetime import datetime
from pathlib import Path

import pytest

from evo.engine import shelf as shelves
from evo.engine.shelf import PopulationShelf
from evo.nouns import Variant
from evo.patch import FounderPatch
from evo.population.message import commit_message
from evo.population.population import Population

NOW = datetime(2026, 1, 2)


def commit(population: Population, number: int, parents: tuple[Variant, ...] = ()) -> Variant:
    message = commit_message(
        title=f"title {number}", rationale="", variant=number, operator="tune",
        parents=[parent.id for parent in parents], run="main",
    )  # fmt: skip
    sha = population.commit(
        f"KNOB = {number}\n",
        parents=[parent.commit for parent in parents],
        message=message,
        when=NOW,
        variant=number,
    )
    return Variant(
        id=number,
        commit=sha,
        parents=tuple(parent.id for parent in parents),
        operator="tune",
        title=f"title {number}",
        rationale="",
        diff="",
        fingerprint=str(number),
        lines=1,
        proposal=number,
        created_at=NOW,
    )


@pytest.fixture
def population(tmp_path: Path) -> Population:
    return Population.create(tmp_path / "variants.git", "script.py")


@pytest.fixture
def shelf(population: Population) -> PopulationShelf:
    """0 the baseline; 1 and 2 its children; 3 the child of both; 4 a child of 1."""
    made = PopulationShelf(population, {"idea": FounderPatch("idea", "Idea", "", "diff")})
    family: list[Variant] = []
    for number, parents in enumerate([(), (0,), (0,), (1, 2), (1,)]):
        family.append(commit(population, number, tuple(family[parent] for parent in parents)))
        made.add(family[-1])
    return made


def test_a_source_comes_from_git_however_often(shelf: PopulationShelf) -> None:
    for number in (3, 0, 3):
        assert shelf.source(number) == f"KNOB = {number}\n"


def test_kinship_is_that_of_the_variants(shelf: PopulationShelf) -> None:
    assert shelf.parents(3) == (1, 2)
    assert shelf.title(4) == "title 4"
    assert shelf.variant(2).id == 2


@pytest.mark.parametrize(
    ("a", "b", "ancestor"), [(1, 2, 0), (3, 4, 1), (3, 2, 2), (4, 4, 4), (0, 3, 0)]
)
def test_the_latest_common_ancestor_is_found(
    shelf: PopulationShelf, a: int, b: int, ancestor: int
) -> None:
    assert shelf.common_ancestor(a, b) == shelf.common_ancestor(b, a) == ancestor


def test_founders_and_submissions_go_by_name(shelf: PopulationShelf) -> None:
    shelf.submit("17", "Mine", "text")
    assert shelf.submission("17") == ("Mine", "text")
    assert shelf.founder("idea").title == "Idea"
    for lookup in (shelf.submission, shelf.founder):
        with pytest.raises(KeyError):
            lookup("nothing")


def test_many_threads_read_while_the_engine_adds(
    shelf: PopulationShelf, population: Population
) -> None:
    many, wrong = shelves.KEPT_SOURCES + 20, list[str]()

    def read(start: int) -> None:
        for turn in range(200):
            number = (start + turn) % 5
            if shelf.source(number) != f"KNOB = {number}\n":
                wrong.append(f"{number}")

    readers = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for reader in readers:
        reader.start()
    sample = shelf.variant(0)
    for number in range(10, 10 + many):  # more than are kept
        shelf.add(sample, f"KNOB = {0}\n")
        shelf.add(Variant(number, sample.commit, (), "tune", "", "", "", str(number), 1, 0, NOW),
                  "KNOB = 0\n")  # fmt: skip
    for reader in readers:
        reader.join()
    assert wrong == []
    assert shelf.source(10) == "KNOB = 0\n"
