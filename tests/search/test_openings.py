"""Openings: what git couldn't join and what broke by a slip is asked for again, within bounds."""

from datetime import datetime

import pytest

from evo.nouns import Measurement, Outcome, Proposal, Purpose, Status, Trial, Variant
from evo.search.openings import KEPT, Openings


def proposal(number: int, operator: str = "mutate", **more: object) -> Proposal:
    fields: dict[str, object] = {
        "id": number, "operator": operator, "parents": (0,), "outcome": Outcome.ACCEPTED,
    }  # fmt: skip
    return Proposal(**(fields | more))  # type: ignore[arg-type]


def crash(openings: Openings, made: Proposal, cause: str = "NameError: x") -> None:
    """Tells of a proposal, its variant, and a trial that broke."""
    openings.tell(made)
    openings.tell(
        Variant(made.id, "", made.parents, made.operator, "", "", "", "", 1, made.id,
                datetime(2026, 1, 1))
    )  # fmt: skip
    measurement = Measurement(Status.CRASHED, cause=cause)
    openings.tell(Trial(made.id, made.id, 0, Purpose.FIRST, 1.0, 1.0, measurement=measurement))


def test_a_pair_that_git_could_not_merge_waits_until_a_model_was_asked() -> None:
    openings = Openings()
    openings.tell(proposal(1, "crossover", parents=(1, 2), outcome=Outcome.MALFORMED))
    openings.tell(proposal(2, "crossover", parents=(1, 3)))
    assert openings.conflicts() == ((1, 2),)
    openings.tell(proposal(3, "cross", parents=(1, 2)))
    assert openings.conflicts() == ()


def test_what_broke_in_preflight_or_in_its_trial_may_be_mended() -> None:
    openings = Openings()
    openings.tell(proposal(1, outcome=Outcome.PREFLIGHT_FAILED, cause="TypeError: x"))
    crash(openings, proposal(2, "founder", parents=(4,)))
    assert openings.failures() == ((1, (0,)), (2, (4,)))
    openings.asked("repair", "1")
    assert openings.failures() == ((2, (4,)),)


@pytest.mark.parametrize(
    "cause", ["nan: its score is nan", "its loss is nan", "CUDA out of memory", "line 3: a seed"]
)
def test_what_is_no_slip_is_left_alone(cause: str) -> None:
    openings = Openings()
    crash(openings, proposal(1), cause)
    assert openings.failures() == ()


def test_a_tuned_number_that_breaks_is_no_idea_to_mend() -> None:
    openings = Openings()
    crash(openings, proposal(1, "tune"))
    assert openings.failures() == ()


def test_an_idea_is_mended_twice_at_most_counting_repairs_of_repairs() -> None:
    openings = Openings()
    crash(openings, proposal(1))
    crash(openings, proposal(2, "repair", subject="1"))
    assert openings.failures() == ((2, (0,)),)
    crash(openings, proposal(3, "repair", subject="2"))
    assert openings.failures() == ()


def test_old_failures_are_let_go() -> None:
    openings = Openings()
    for number in range(KEPT + 5):
        crash(openings, proposal(number))
    assert [number for number, _ in openings.failures()] == list(range(5, KEPT + 5))
