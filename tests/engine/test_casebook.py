"""The casebook: measurements and attempts as operators are told of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from evo.engine.casebook import BROKEN
from evo.nouns import Measurement, Outcome, Proposal, Status
from evo.operators.prompts import row
from tests.operators.cases import SITUATION
from tests.operators.office import Office
from tests.operators.shelves import BASELINE


def text(number: int) -> str:
    return f"{BASELINE}\nEXTRA = {number}\n"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """0 -> 1 -> 3 and 0 -> 2 -> 4; 5 joins 3 and 4; 6 is a child of 3 that crashed."""
    made = Office(tmp_path, [])
    family = {1: (0,), 2: (0,), 3: (1,), 4: (2,), 5: (3, 4)}
    for number, parents in family.items():
        made.grow(number, parents, text(number), 2.0 - number / 10)
    made.grow(6, (3,), text(6), None)
    return made


def test_a_failed_proposals_text_is_found_again_by_the_next_session(office: Office) -> None:
    broken = Proposal(70, "mutate", (3,), Outcome.PREFLIGHT_FAILED, cause="x", source="y = 1\r\n")
    office.refuse(broken)
    again = Office(office.folder, [])
    again.refuse(replace(broken, source=None))
    assert again.book.failure(70).source == "y = 1\r\n"


def test_a_case_has_its_mean_its_gain_and_an_error_once_noise_is_known(office: Office) -> None:
    case = office.book.case(3)
    assert (case.score, case.trials, case.status) == (1.7, 1, Status.SCORED)
    assert case.gain == pytest.approx(0.2)
    assert case.std is None
    office.measure(3, Measurement(Status.SCORED, 1.9), trial=50)
    case = office.book.case(3)
    assert case.score == pytest.approx(1.8)
    assert case.std == pytest.approx(0.1)
    assert office.book.case(6).cause.startswith("NameError")
    assert office.book.case(6).gain is None


def test_who_was_caught_cheating_is_told_of_without_a_score(office: Office) -> None:
    for trial, number, score in ((50, 3, 1.5), (51, 4, 1.8)):
        office.measure(number, Measurement(Status.SCORED, score), trial)
    office.measure(3, Measurement(Status.DISHONEST, cause="it claims too much"), trial=52)
    office.measure(3, Measurement(Status.SCORED, 1.1), trial=53)
    case = office.book.case(3)
    assert (case.score, case.std, case.gain, case.last) == (None, None, None, None)
    assert row(case, SITUATION).endswith(": dishonest: it claims too much")
    assert office.book.case(5).gain is None, "its parent has no score"
    assert office.book.case(4).std == pytest.approx(0.1), "of two trials, 0.2 apart"
    assert 3 not in [one.variant for one in office.book.inspirations(4, 9)]
    office.measure(0, Measurement(Status.DISHONEST, cause="it claims too much"), trial=54)
    assert office.book.case(0).score == 2.0, "all others are compared with the baseline"


def test_a_lineage_follows_first_parents_from_the_baseline(office: Office) -> None:
    assert [case.variant for case in office.book.lineage(5)] == [0, 1, 3, 5]


def test_attempts_come_nearest_first_and_leave_out_how_it_came_to_be(office: Office) -> None:
    office.refuse(Proposal(70, "mutate", (3,), Outcome.MALFORMED, "Bad", cause="no block"))
    found = office.book.attempts(3, 10)
    assert [(one.proposal, one.distance) for one in found[:3]] == [(70, 0), (6, 0), (5, 0)]
    assert {one.proposal for one in found} == {70, 6, 5, 2, 4}
    assert found[0].cause == "no block"
    assert found[1].case is not None
    assert len(office.book.attempts(3, 2)) == 2


def test_inspirations_are_the_best_from_elsewhere(office: Office) -> None:
    assert [case.variant for case in office.book.inspirations(3, 3)] == [4, 2]
    assert [case.variant for case in office.book.inspirations(1, 1)] == [4]
    assert office.book.inspirations(5, 3) == []


def test_a_twin_is_found_whatever_its_comments(office: Office) -> None:
    twin = office.book.twin(text(4) + "# the same\n")
    assert twin is not None
    assert twin.variant == 4
    assert office.book.twin(text(99)) is None


def test_a_failure_that_was_mended_by_a_later_trial_is_none(office: Office) -> None:
    assert office.book.failure(6).source == text(6)
    office.measure(6, Measurement(Status.SCORED, 1.0), trial=60)
    with pytest.raises(KeyError):
        office.book.failure(6)


def test_a_failed_proposals_text_is_kept_for_a_while_and_then_gone(office: Office) -> None:
    stray = office.folder / BROKEN / "notes.txt"
    stray.parent.mkdir()
    stray.write_text("mine")
    for number in range(100, 200):
        office.refuse(
            Proposal(number, "mutate", (0,), Outcome.PREFLIGHT_FAILED, cause="x", source="y = 1\n")
        )
    assert office.book.failure(199).source == "y = 1\n"
    with pytest.raises(KeyError):
        office.book.failure(100)
    assert stray.read_text() == "mine"
