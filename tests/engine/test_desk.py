"""The desk: every brief gets an answer, and what isn't worth a trial gets a reason."""

import queue
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from evo.arena.rules import Rules
from evo.arena.worker import Setup
from evo.engine.desk import Desk, Rehearsal
from evo.engine.shelf import PopulationShelf
from evo.errors import ArenaError, PopulationError
from evo.nouns import Brief, Clock, Direction, Outcome, Proposal, Recipe, Task
from evo.operators.operator import Operator, Shelf, settle
from evo.operators.screening import fingerprint
from evo.population.population import Population
from tests.archive.records import NOW, variant
from tests.operators.shelves import BASELINE, DEEPER, DictShelf

TIMEOUT_SECONDS = 60
SHELF = DictShelf({0: "KNOB = 1\n", 1: "KNOB = 2\n"}, {0: (), 1: (0,)})


class Answering:
    """An operator that always answers with the same text."""

    name = "answering"

    def __init__(self, text: str) -> None:
        self._text = text

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        ours = shelf.source(brief.parents[0])
        return settle(brief, ours, self._text, title="Always this", rationale="It knows no other.")


class Breaking:
    """An operator with a bug."""

    name = "breaking"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        raise ZeroDivisionError("a bug")


Answers = Callable[..., tuple[Proposal, str]]


@pytest.fixture
def ask() -> Iterator[Answers]:
    """What the desk makes of one answer of an operator."""
    desks: list[Desk] = []

    def answer(
        operator: Operator,
        *,
        recipe: Recipe = Recipe.COMMAND,
        known: Mapping[str, int] | None = None,
        shelf: Shelf = SHELF,
    ) -> tuple[Proposal, str]:
        made: queue.SimpleQueue[tuple[Proposal, str] | Exception] = queue.SimpleQueue()
        desk = Desk(
            operators={operator.name: operator},
            shelf=shelf,
            recipe=recipe,
            rehearsal=None,
            known=known or {},
            on_proposal=lambda proposal, mark: made.put((proposal, mark)),
            on_failure=made.put,
            threads=2,
        )
        desks.append(desk)
        desk.take(Brief(5, operator.name, (0,), "subject", seed=3))
        given = made.get(timeout=TIMEOUT_SECONDS)
        if isinstance(given, Exception):
            raise given
        return given

    yield answer
    for desk in desks:
        desk.close()


def test_a_good_answer_is_accepted_with_its_fingerprint(ask: Answers) -> None:
    proposal, mark = ask(Answering("KNOB = 3\n"))
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert (proposal.id, proposal.parents, proposal.subject) == (5, (0,), "subject")
    assert mark == fingerprint("KNOB = 3\n")
    assert proposal.seconds > 0


def test_what_equals_a_known_variant_is_its_duplicate(ask: Answers) -> None:
    known = {fingerprint("KNOB = 2\n"): 1}
    proposal, _ = ask(Answering("KNOB = 2  # in other words\n"), known=known)
    assert (proposal.outcome, proposal.twin) == (Outcome.DUPLICATE, 1)
    assert "it equals variant 1" in proposal.cause


def test_what_equals_its_own_parent_changes_nothing(ask: Answers) -> None:
    known = {fingerprint("KNOB = 1\n"): 0}
    proposal, _ = ask(Answering("KNOB   =   1\n"), known=known)
    assert proposal.outcome is Outcome.NO_OP


def test_what_is_not_python_is_refused_before_it_runs(ask: Answers) -> None:
    proposal, _ = ask(Answering("KNOB = = 1\n"))
    assert proposal.outcome is Outcome.MALFORMED
    assert "line 1" in proposal.cause


def test_a_training_script_that_breaks_the_contract_is_refused(ask: Answers) -> None:
    shelf = DictShelf()
    good, _ = ask(Answering(DEEPER), recipe=Recipe.ARENA, shelf=shelf)
    assert good.outcome is Outcome.ACCEPTED, good.cause
    text = BASELINE.replace("def train(", "def training(")
    proposal, _ = ask(Answering(text), recipe=Recipe.ARENA, shelf=shelf)
    assert proposal.outcome is Outcome.PREFLIGHT_FAILED
    assert "the contract is broken" in proposal.cause


def test_a_bug_in_an_operator_costs_one_proposal(ask: Answers) -> None:
    proposal, mark = ask(Breaking())
    assert proposal.outcome is Outcome.MALFORMED
    assert proposal.cause == "ZeroDivisionError: a bug"
    assert mark == ""


def test_a_store_that_fails_is_no_answer_of_the_operator(ask: Answers, tmp_path: Path) -> None:
    population = Population.create(tmp_path / "variants.git", "script.py")
    commit = population.commit("KNOB = 1\n", parents=[], message="m\n", when=NOW, variant=0)
    shelf = PopulationShelf(population, {})
    shelf.add(variant(0, commit=commit))
    (tmp_path / "variants.git" / "objects" / commit[:2] / commit[2:]).unlink()
    with pytest.raises(PopulationError, match=f"commit {commit} must be in"):
        ask(Answering("KNOB = 3\n"), shelf=shelf)


def rehearsal(pattern: str = "") -> Rehearsal:
    task = Task(
        editable="script.py",
        recipe=Recipe.COMMAND,
        metric="score",
        direction=Direction.MINIMISE,
        budget_seconds=1.0,
        clock=Clock.WALL,
        command="python {editable}",
        pattern=pattern,
    )
    rules = Rules(1.0, Clock.WALL, "cpu", 1, 1.0, 1, 1, 10.0, 10.0, 500, 1)
    return Rehearsal(Setup(task, rules, ""))


def test_a_rehearsal_asks_one_referee_again_and_again() -> None:
    made = rehearsal()
    try:
        assert made.check("KNOB = 1\n") == made.check("KNOB = 2\n") == ""
    finally:
        made.close()
    with pytest.raises(ArenaError):
        made.check("KNOB = 3\n")


def test_a_rehearsal_that_can_not_begin_says_why() -> None:
    made = rehearsal(pattern="no group")
    try:
        with pytest.raises(ArenaError, match=r"preflight can't run: .* a group for the score"):
            made.check("KNOB = 1\n")
    finally:
        made.close()
