"""The rules that every operator obeys, whatever it is given."""

from __future__ import annotations

import ast

import pytest

from evo.nouns import Brief, Outcome
from evo.operators.ablation import Ablate
from evo.operators.crossover import Crossover
from evo.operators.founding import Founder
from evo.operators.human import Human
from evo.operators.operator import TITLE_WIDTH, Operator, Shelf
from evo.operators.tuning import Tune
from evo.patch import FounderPatch, diff
from tests.operators.shelves import BASELINE, DEEPER, FASTER, DictShelf, changed

WIDER = diff(BASELINE, changed(BASELINE, "HEADS = (2, 4)", "HEADS = (3, 4)"))
SHELF = DictShelf(
    founders={
        "wider": FounderPatch("wider", "Wider", "More heads.", WIDER),
        "deeper": FounderPatch("deeper", "Deeper", "More blocks.", diff(BASELINE, DEEPER)),
        "stale": FounderPatch("stale", "Stale", "", diff("gone = 1\n", "gone = 2\n")),
    },
    submissions={"patch": ("", WIDER), "file": ("Mine", FASTER), "broken": ("", "def f(:\n")},
)
OPERATORS: dict[str, Operator] = {
    each.name: each for each in (Tune(0), Crossover(), Ablate(), Founder(), Human())
}
GOOD = [
    Brief(7, "tune", (1,), seed=3),
    Brief(7, "crossover", (1, 2)),
    Brief(7, "ablate", (1,), "1"),
    Brief(7, "founder", (1,), "wider"),
    Brief(7, "human", (1,), "patch"),
    Brief(7, "human", (1,), "file"),
]
NO_OP = [
    Brief(7, "crossover", (1, 0)),
    Brief(7, "crossover", (0, 1)),
    Brief(7, "crossover", (1, 1)),
    Brief(7, "ablate", (2,), "1"),
    Brief(7, "founder", (1,), "deeper"),
    Brief(7, "human", (2,), "file"),
]
MALFORMED = [
    Brief(7, "tune"),
    Brief(7, "crossover", (1,)),
    Brief(7, "ablate"),
    Brief(7, "ablate", (1,), "nonsense"),
    Brief(7, "ablate", (1,), "99"),
    Brief(7, "ablate", (1,), "0"),
    Brief(7, "founder"),
    Brief(7, "founder", (1,), "nowhere"),
    Brief(7, "founder", (1,), "stale"),
    Brief(7, "human"),
    Brief(7, "human", (1,), "nowhere"),
    Brief(7, "human", (1,), "broken"),
]


def name_of(brief: Brief) -> str:
    return f"{brief.operator} {brief.parents} {brief.subject}"


@pytest.mark.parametrize("brief", GOOD, ids=name_of)
def test_an_accepted_text_parses_differs_and_says_what_it_is(brief: Brief) -> None:
    proposal = OPERATORS[brief.operator].propose(brief, SHELF)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source is not None
    ast.parse(proposal.source)
    assert proposal.source != SHELF.source(brief.parents[0])
    assert 0 < len(proposal.title) <= TITLE_WIDTH
    assert "\n" not in proposal.title
    assert proposal.cause == ""


@pytest.mark.parametrize("brief", NO_OP, ids=name_of)
def test_what_changes_nothing_is_a_no_op(brief: Brief) -> None:
    proposal = OPERATORS[brief.operator].propose(brief, SHELF)
    assert proposal.outcome is Outcome.NO_OP
    assert proposal.cause


@pytest.mark.parametrize("brief", MALFORMED, ids=name_of)
def test_bad_material_is_refused_with_a_cause_in_one_line(brief: Brief) -> None:
    proposal = OPERATORS[brief.operator].propose(brief, SHELF)
    assert proposal.outcome is Outcome.MALFORMED
    assert proposal.source is None
    assert proposal.cause
    assert "\n" not in proposal.cause


@pytest.mark.parametrize("brief", GOOD + NO_OP + MALFORMED, ids=name_of)
def test_equal_briefs_get_equal_proposals_that_carry_the_brief(brief: Brief) -> None:
    operator = OPERATORS[brief.operator]
    shelf: Shelf = SHELF
    proposal = operator.propose(brief, shelf)
    assert proposal == operator.propose(brief, shelf)
    assert (proposal.id, proposal.operator) == (brief.id, brief.operator)
    assert (proposal.parents, proposal.subject) == (brief.parents, brief.subject)
