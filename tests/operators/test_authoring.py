"""Operators that ask models: what they accept, send back once, refuse, and record."""

from dataclasses import replace
from pathlib import Path

import pytest

from evo.archive.archive import Archive
from evo.errors import ArchiveError
from evo.models.model import ModelError
from evo.models.purse import Purse
from evo.models.roster import Member, Roster
from evo.models.scripted_model import ScriptedModel
from evo.nouns import Brief, CallOutcome, Outcome, Proposal
from evo.operators.joining import Cross
from evo.operators.mending import Repair
from evo.operators.mutation import Mutate
from evo.operators.simplification import Simplify
from tests.operators.office import Office, edit
from tests.operators.shelves import BASELINE, changed

DEEPER = edit("DEPTH = (2, 8)", "DEPTH = (3, 8)", "Deeper")
DEPTH_3 = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (3, 8)")
DEPTH_4 = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (4, 8)")
FASTER = edit("EMBED_LR = (0.2, 0.3)", "EMBED_LR = (0.4, 0.3)", "Faster")
BRIEF = Brief(7, "mutate", (0,), model="one", seed=3)


def mutated(tmp_path: Path, *answers: str | ModelError) -> tuple[Proposal, Office]:
    office = Office(tmp_path, answers)
    return Mutate(office.author).propose(BRIEF, office.shelf), office


def test_a_mutation_carries_who_made_it_under_which_program_and_its_bill(tmp_path: Path) -> None:
    proposal, office = mutated(tmp_path, DEEPER)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source == DEPTH_3
    assert (proposal.title, proposal.rationale) == ("Deeper", "Because.")
    assert (proposal.model, proposal.role, proposal.cost_usd) == ("one", "", 0.25)
    assert proposal.program_sha == office.author.program().program.sha
    assert (proposal.id, proposal.parents) == (7, (0,))
    assert "Be quick." in office.talks[0][1].text


def test_a_block_that_does_not_fit_goes_back_once_with_the_nearest_lines(tmp_path: Path) -> None:
    proposal, office = mutated(tmp_path, edit("DEPTH = (2, 9)[CUDAX]  # x\nzzz = 1", "y"), DEEPER)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    again = office.talks[1]
    assert [message.author for message in again] == ["system", "user", "assistant", "user"]
    assert "block 1 isn't in the file" in again[-1].text
    assert "DEPTH = (2, 8)" in again[-1].text
    assert [call.outcome for call in office.calls] == [CallOutcome.UNUSABLE, CallOutcome.ANSWERED]
    assert proposal.cost_usd == 0.5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("I would rather not.", "no edit is in the answer"),
        (edit("DEPTH = (2, 8)", "DEPTH = (2, 8)"), "nothing changes"),
        (edit("DEPTH = (2, 8)", "DEPTH = = 8"), "it isn't Python"),
        (edit("def train(arena):", "def training(arena):"), "the contract is broken"),
    ],
)
def test_an_answer_of_no_use_is_objected_to_once_and_then_refused(
    tmp_path: Path, answer: str, words: str
) -> None:
    proposal, office = mutated(tmp_path, answer, answer)
    assert len(office.talks) == 2
    assert words in office.talks[1][-1].text
    if words == "the contract is broken":  # the desk refuses it, and keeps its text for a repair
        assert proposal.outcome is Outcome.ACCEPTED
    else:
        assert proposal.outcome in (Outcome.MALFORMED, Outcome.NO_OP)
        assert proposal.source is None
    assert proposal.model == "one"
    assert proposal.cost_usd == 0.5


def test_a_duplicate_goes_back_once_with_what_its_twin_did(tmp_path: Path) -> None:
    office = Office(tmp_path, [DEEPER, FASTER])
    office.grow(1, (0,), DEPTH_3, 2.5)
    proposal = Mutate(office.author).propose(BRIEF, office.shelf)
    assert proposal.title == "Faster"
    said = office.talks[1][-1].text
    assert "the same program as variant 1" in said
    assert "val_bpb 2.5000, 0.5000 worse than its parent" in said


def test_a_near_duplicate_goes_back_once_and_may_insist(tmp_path: Path) -> None:
    deepest = edit("DEPTH = (2, 8)", "DEPTH = (5, 8)")
    office = Office(tmp_path, [deepest, deepest])
    office.grow(1, (0,), DEPTH_4, None)
    proposal = Mutate(office.author).propose(BRIEF, office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED
    assert "nearly the same change as variant 1" in office.talks[1][-1].text
    assert "crashed: NameError" in office.talks[1][-1].text
    assert len(office.talks) == 2


def test_no_answer_is_a_refusal_and_its_bill_is_kept(tmp_path: Path) -> None:
    error = ModelError("no such model", CallOutcome.UNKNOWN_MODEL)
    proposal, _ = mutated(tmp_path, error)
    assert proposal.outcome is Outcome.MALFORMED
    assert "no model answers: one: no such model" in proposal.cause
    proposal, _ = mutated(tmp_path, "prose", error)
    assert "no edit is in the answer" in proposal.cause
    assert proposal.cost_usd == 0.25


def test_a_call_that_can_not_be_recorded_is_the_archives_failure(tmp_path: Path) -> None:
    archive, office = Archive.open(tmp_path / "run.duckdb"), Office(tmp_path, [])
    archive.close()
    office.author.roster = Roster(
        [Member(ScriptedModel("one", [DEEPER]))],
        purse=Purse(None),
        on_call=archive.record_call,
        clock=lambda: 0.0,
    )
    with pytest.raises(ArchiveError, match="can't be"):
        Mutate(office.author).propose(BRIEF, office.shelf)


def test_a_simplification_must_take_lines_out(tmp_path: Path) -> None:
    line = next(each for each in BASELINE.splitlines() if each.startswith("EMBED_LR"))
    office = Office(tmp_path, [edit(line, "")])
    brief = replace(BRIEF, operator="simplify")
    proposal = Simplify(office.author).propose(brief, office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    office = Office(tmp_path, [DEEPER])
    proposal = Simplify(office.author).propose(brief, office.shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert "simplify takes code out" in proposal.cause
    assert proposal.cost_usd == 0.25


# Repair


def test_a_crashed_variant_is_mended_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (oops, 8)")
    office = Office(tmp_path, [edit("DEPTH = (oops, 8)", "DEPTH = (3, 8)")])
    office.grow(1, (0,), broken, None)
    (tmp_path / "trials" / "1").mkdir(parents=True)
    (tmp_path / "trials" / "1" / "log.txt").write_bytes(b"x\n" * 9000 + b"\x1b[31mline 7: oops\n")
    brief = Brief(9, "repair", (0,), "1", role="debugger", model="one")
    proposal = Repair(office.author).propose(brief, office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert (proposal.source, proposal.parents, proposal.role) == (DEPTH_3, (0,), "debugger")
    text = office.talks[0][1].text
    assert "│ NameError: name 'x' is not defined" in text
    assert "line 7: oops" in text
    assert "\x1b" not in text
    assert "DEPTH = (oops, 8)" in text


def test_a_proposal_that_failed_in_preflight_is_mended_from_its_kept_text(tmp_path: Path) -> None:
    answer = edit("def training(arena):", "def train(arena):\n    # mended").replace("Title", "T")
    office = Office(tmp_path, [answer])
    office.refuse(
        Proposal(5, "mutate", (0,), Outcome.PREFLIGHT_FAILED, "Wilder", cause="contract",
                 source=DEPTH_3.replace("def train(", "def training("))
    )  # fmt: skip
    proposal = Repair(office.author).propose(Brief(9, "repair", (0,), "5"), office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.title == "Wilder, mended"


@pytest.mark.parametrize("subject", ["99", "nonsense", "0"])
def test_what_is_not_there_or_never_broke_can_not_be_mended(tmp_path: Path, subject: str) -> None:
    office = Office(tmp_path, [])
    proposal = Repair(office.author).propose(Brief(9, "repair", (0,), subject), office.shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert "nothing left to mend" in proposal.cause


# Crossing


def hunks(*texts: str) -> str:
    fences = "\n".join(f"## Hunk {n}\n```python\n{text}\n```\n" for n, text in enumerate(texts, 1))
    return f"Title: Both\nRationale: The deeper one has more evidence.\n\n{fences}"


def test_what_git_merges_costs_no_call(tmp_path: Path) -> None:
    office = Office(tmp_path, [])
    office.grow(1, (0,), DEPTH_3, 1.9)
    office.grow(2, (0,), changed(BASELINE, "EMBED_LR = (0.2, 0.3)", "EMBED_LR = (0.4, 0.3)"), 1.8)
    proposal = Cross(office.author).propose(Brief(9, "cross", (1, 2)), office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert (proposal.model, proposal.cost_usd, office.talks) == ("", 0.0, [])


def test_a_model_gets_only_the_hunks_that_conflict_and_both_rationales(tmp_path: Path) -> None:
    both = changed(DEPTH_4, "EMBED_LR = (0.2, 0.3)", "EMBED_LR = (0.4, 0.3)")
    line = next(each for each in DEPTH_4.splitlines() if each.startswith("DEPTH"))
    resolved = line.replace("(4, 8)", "(5, 8)")
    office = Office(tmp_path, [hunks(resolved)])
    office.grow(1, (0,), DEPTH_3, 1.9)
    office.grow(2, (0,), both, 1.8)
    proposal = Cross(office.author).propose(Brief(9, "cross", (1, 2), model="one"), office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source is not None
    assert "DEPTH = (5, 8)" in proposal.source
    assert "EMBED_LR = (0.4, 0.3)" in proposal.source
    assert (proposal.title, proposal.parents, proposal.cost_usd) == ("Both", (1, 2), 0.25)
    text = office.talks[0][1].text
    assert "why 1" in text
    assert "why 2" in text
    assert "def train(arena)" not in text


def test_a_missing_resolution_goes_back_once_and_is_then_refused(tmp_path: Path) -> None:
    endless = f"## Hunk {'9' * 5000}\n```\nDEPTH = 5\n```\n"
    office = Office(tmp_path, [endless, "Neither."])
    office.grow(1, (0,), DEPTH_3, 1.9)
    office.grow(2, (0,), DEPTH_4, 1.8)
    proposal = Cross(office.author).propose(Brief(9, "cross", (1, 2)), office.shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert "hunk 1 of 1 has no resolution" in proposal.cause
    assert len(office.talks) == 2


@pytest.mark.parametrize("operator", [Mutate, Simplify, Repair, Cross])
def test_without_parents_there_is_nothing_to_ask(
    tmp_path: Path, operator: type[Mutate] | type[Repair] | type[Cross]
) -> None:
    office = Office(tmp_path, [])
    proposal = operator(office.author).propose(Brief(9, operator.name, ()), office.shelf)
    assert proposal.outcome is Outcome.MALFORMED
    assert office.talks == []
