"""What is believed of diffs that nobody has tried, and of children before they are made."""

import random

import pytest

from evo.nouns import Brief, Direction, Measurement, Outcome, Proposal, Purpose, Status, Trial
from evo.search.beliefs import Beliefs, name_of
from tests.search.tape import explore, variant_of


def grown(losses: list[float], *, asks: bool = False) -> Beliefs:
    """A baseline of 10 and a child of it for each loss, by `tune`."""
    beliefs = Beliefs(Direction.MINIMISE)
    for number, loss in enumerate([10.0, *losses]):
        operator, parents = ("tune", (0,)) if number else ("baseline", ())
        beliefs.add_variant(variant_of(number, Brief(number, operator, parents, f"{number}", 0)))
        if asks:
            beliefs.unknown("tune")
        measured = Measurement(Status.SCORED, loss)
        beliefs.add_trial(Trial(number, number, 0, Purpose.FIRST, 1.0, 1.0, measurement=measured))
    return beliefs


def test_an_operator_is_judged_by_what_its_diffs_did() -> None:
    good, bad = grown([9.0, 8.5, 9.2, 8.8, 9.1]), grown([11.0, 11.5, 10.8, 11.2, 10.9])
    assert good.unknown("tune")[0] < 0 < bad.unknown("tune")[0]
    assert good.unknown("tune")[0] < good.unknown("founder")[0]


def test_what_was_asked_in_between_changes_no_belief() -> None:
    losses = [9.0, 11.0, 9.5, 10.4]
    quiet, asked = grown(losses), grown(losses, asks=True)
    for one in (quiet, asked):
        one.add_variant(variant_of(5, Brief(5, "tune", (0,), "5", 0)))
        if one is asked:
            one.unknown("tune")
        one.add_variant(variant_of(6, Brief(6, "tune", (0,), "6", 0)))
    assert quiet.unknown("tune") == asked.unknown("tune")


def test_diffs_without_a_trial_say_nothing_of_their_operator() -> None:
    beliefs = grown([9.0, 11.0, 9.5, 10.4])
    before = beliefs.unknown("tune")
    for number in range(5, 40):  # they wait, or broke
        beliefs.add_variant(variant_of(number, Brief(number, "tune", (0,), f"{number}", 0)))
    assert beliefs.unknown("tune") == pytest.approx(before)


def test_a_merge_leaves_out_what_one_side_has_taken_out() -> None:
    beliefs = grown([9.0, 8.0])
    made = (("founder", (1,), "a"), ("ablate", (3,), "1"), ("founder", (3,), "b"))
    for number, (operator, parents, subject) in enumerate(made, 3):
        beliefs.add_variant(variant_of(number, Brief(number, operator, parents, subject, 0)))
    before, without, beside = (beliefs.carried(variant) for variant in (3, 4, 5))
    assert before == {"v1", "founder a"}
    assert without == {"founder a"}
    assert beliefs.joined((4, 5)) == beliefs.joined((5, 4)) == beside - {"v1"}
    assert beliefs.joined((2, 4, 5)) == {"v2", "founder a", "founder b"}
    measured = Measurement(Status.SCORED, 9.5)
    for variant in (4, 5):
        trial = Trial(variant, variant, 0, Purpose.FIRST, 1.0, 1.0, measurement=measured)
        beliefs.add_trial(trial)
    gone, added = beliefs.of.effect("v1")[0], beliefs.of.effect("founder b")[0]
    assert beliefs.brings("crossover", (5, 4), "")[0] == pytest.approx(-gone)
    assert beliefs.brings("crossover", (4, 5), "")[0] == pytest.approx(added)


def test_a_change_has_the_same_name_wherever_its_lines_stand() -> None:
    diff = "--- a/train.py\n+++ b/train.py\n@@ -3,2 +3,2 @@\n DEPTH = 4\n-LR = 0.1\n+LR = 0.2\n"
    moved = diff.replace("@@ -3,2 +3,2 @@\n DEPTH = 4", "@@ -30,2 +31,2 @@\n DEPTH = 8")
    indented = diff.replace("-LR", "-    LR").replace("+LR", "+    LR")
    assert name_of(diff) == name_of(moved) == name_of(indented) != ""
    assert name_of(diff) != name_of(diff.replace("0.2", "0.3"))
    assert name_of("") == ""


def test_no_diffs_do_nothing() -> None:
    beliefs = grown([9.0, 11.0, 9.5, 10.4])
    assert beliefs.of.effect() == (0.0, 0.0)
    assert beliefs.brings("crossover", (1, 1), "") == (0.0, 0.0)


def test_an_operator_that_works_in_vain_has_its_share_and_no_more() -> None:
    world, asked = explore("population", 80, noise=1.0), []
    for number in range(1000, 1120):
        brief = world.search.ask(number, random.Random(number))
        assert brief is not None
        asked.append(brief.operator)
        world.search.tell(
            Proposal(brief.id, brief.operator, brief.parents, Outcome.NO_OP, subject=brief.subject)
        )
    assert {"tune", "founder", "ablate"} <= set(asked)
    assert asked.count("tune") < 110
