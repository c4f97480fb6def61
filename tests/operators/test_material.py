"""What crossover, ablation, founders and people make of versions that have moved on."""

from __future__ import annotations

from evo.nouns import Brief, Outcome
from evo.operators.ablation import Ablate
from evo.operators.crossover import Crossover
from evo.operators.founding import Founder
from evo.operators.human import Human
from evo.patch import FounderPatch, diff
from tests.operators.shelves import BASELINE, DEEPER, FASTER, DictShelf, changed

BOTH = changed(DEEPER, "EMBED_LR = (0.2, 0.3)", "EMBED_LR = (0.4, 0.3)")
TUNED = changed(BASELINE, "MATRIX_LR = (0.02", "MATRIX_LR = (0.05")


def test_crossover_joins_both_changes_and_both_titles() -> None:
    proposal = Crossover().propose(Brief(1, "crossover", (1, 2)), DictShelf())
    assert proposal.source == BOTH
    assert proposal.title == "title 1 + title 2"
    assert proposal.rationale == "Joins what variants 1 and 2 changed since their common ancestors."


def test_crossover_joins_as_many_as_it_is_given() -> None:
    both = changed(FASTER, "MATRIX_LR = (0.02", "MATRIX_LR = (0.05")
    sources = {0: BASELINE, 1: DEEPER, 2: FASTER, 3: both}
    shelf = DictShelf(sources, {0: (), 1: (0,), 2: (0,), 3: (2,)})
    proposal = Crossover().propose(Brief(1, "crossover", (2, 1, 3)), shelf)
    assert proposal.source == changed(BOTH, "MATRIX_LR = (0.02", "MATRIX_LR = (0.05")
    assert proposal.parents == (2, 1, 3)
    assert proposal.title == "title 2 + title 1 + title 3"
    assert proposal.rationale.startswith("Joins what variants 2, 1 and 3 changed")


def test_crossover_of_a_version_with_its_own_child_says_which_parent_it_equals() -> None:
    shelf = DictShelf({0: BASELINE, 1: DEEPER, 2: BOTH}, {0: (), 1: (0,), 2: (1,)})
    proposal = Crossover().propose(Brief(1, "crossover", (1, 2)), shelf)
    assert proposal.outcome is Outcome.NO_OP
    assert "equals variant 2" in proposal.cause


def test_crossover_names_what_conflicts() -> None:
    other = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (5, 8)")
    shelf = DictShelf({0: BASELINE, 1: DEEPER, 2: other})
    proposal = Crossover().propose(Brief(1, "crossover", (1, 2)), shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert "DEPTH" in proposal.cause


def test_ablation_takes_an_early_diff_out_of_a_late_version() -> None:
    shelf = DictShelf({0: BASELINE, 1: DEEPER, 2: BOTH}, {0: (), 1: (0,), 2: (1,)})
    proposal = Ablate().propose(Brief(1, "ablate", (2,), "1"), shelf)
    assert proposal.source == FASTER
    assert proposal.title == "Without: title 1"


def test_ablation_refuses_what_later_diffs_build_on() -> None:
    later = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (5, 8)")
    shelf = DictShelf({0: BASELINE, 1: DEEPER, 2: later}, {0: (), 1: (0,), 2: (1,)})
    proposal = Ablate().propose(Brief(1, "ablate", (2,), "1"), shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert "DEPTH" in proposal.cause


def test_a_founder_is_merged_into_a_version_beside_its_lines() -> None:
    founder = FounderPatch("tuned", "Faster matrices", "Because.", diff(BASELINE, TUNED))
    shelf = DictShelf(founders={"tuned": founder})
    proposal = Founder().propose(Brief(1, "founder", (2,), "tuned"), shelf)
    assert proposal.source == changed(FASTER, "MATRIX_LR = (0.02", "MATRIX_LR = (0.05")
    assert (proposal.title, proposal.rationale) == ("Faster matrices", "Because.")


def test_a_persons_patch_is_tried_on_the_parent_then_merged_from_the_baseline() -> None:
    text = f"Title: Faster matrices\nRationale: I think so.\n\n{diff(BASELINE, TUNED)}"
    shelf = DictShelf(submissions={"a": ("", text), "b": ("Named", diff(FASTER, BASELINE))})
    proposal = Human().propose(Brief(1, "human", (2,), "a"), shelf)
    assert proposal.source == changed(FASTER, "MATRIX_LR = (0.02", "MATRIX_LR = (0.05")
    assert (proposal.title, proposal.rationale) == ("Faster matrices", "I think so.")
    undone = Human().propose(Brief(1, "human", (2,), "b"), shelf)
    assert (undone.source, undone.title) == (BASELINE, "Named")


def test_a_persons_patch_that_fits_nowhere_is_explained_by_the_parents_lines() -> None:
    shelf = DictShelf(submissions={"a": ("", diff("gone = 1\n", "gone = 2\n"))})
    proposal = Human().propose(Brief(1, "human", (1,), "a"), shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert "gone = 1" in proposal.cause


def test_a_persons_file_is_taken_whole_without_its_byte_order_mark() -> None:
    shelf = DictShelf(submissions={"a": ("", "\ufeffX = 1\r\n"), "empty": ("", " \n")})
    proposal = Human().propose(Brief(1, "human", (1,), "a"), shelf)
    assert (proposal.source, proposal.title) == ("X = 1\r\n", "By hand")
    empty = Human().propose(Brief(1, "human", (1,), "empty"), shelf)
    assert empty.outcome is Outcome.MALFORMED
