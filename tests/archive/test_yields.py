"""Calls of models in the archive, what came of them by model, role and program, and older files."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from evo.archive.archive import Archive
from evo.nouns import Call, CallOutcome, Outcome, Program, Standing
from tests.archive.records import NOW, RUN, proposal, trial, variant


def call(proposal: int, model: str = "one", outcome: CallOutcome = CallOutcome.ANSWERED) -> Call:
    return Call(
        proposal=proposal,
        operator="mutate",
        role="optimizer",
        model=model,
        program_sha="sha",
        outcome=outcome,
        called_at=datetime(2026, 1, 1),
        latency_seconds=2.0,
        tokens_in=1000,
        tokens_out=100,
        cost_usd=None if outcome is CallOutcome.TIMED_OUT else 0.25,
        cause="" if outcome is CallOutcome.ANSWERED else "told to fail",
    )


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A run in which model one gained 0.5 for 75 cents, and model two nothing for 25."""
    archive = Archive.open(tmp_path / "run.duckdb")
    archive.begin_run(RUN)
    archive.record_program(Program("do well", "sha"), NOW)
    asked: dict[str, Any] = {"operator": "mutate", "role": "optimizer", "program_sha": "sha"}
    records = [
        (proposal(0), variant(0), 2.0, Standing.CHAMPION),
        (proposal(1, model="one", cost_usd=0.5, **asked), variant(1, (0,)), 1.5, Standing.JOINED),
        (proposal(2, model="two", cost_usd=0.25, **asked), variant(2, (0,)), 2.5, Standing.IGNORED),
        (proposal(3, Outcome.MALFORMED, cause="no", model="one", cost_usd=0.25, **asked),
         None, 0, None),
    ]  # fmt: skip
    for number, (made, its, score, standing) in enumerate(records):
        archive.record_proposal(made, its, NOW)
        if its is not None and standing is not None:
            finished = trial(number, its.id, float(score))
            archive.queue_trial(replace(finished, measurement=None))
            archive.finish_trial(finished, standing)
    for each in (call(1), call(1), call(2, "two"), call(3, outcome=CallOutcome.UNUSABLE)):
        archive.record_call(each)
    archive.record_call(call(3, "three", CallOutcome.TIMED_OUT))
    archive.close()
    with duckdb.connect(str(tmp_path / "run.duckdb"), read_only=True) as opened:
        yield opened


def test_calls_are_numbered_and_come_back(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT id, proposal, model, outcome, cost_usd, cause FROM llm_calls ORDER BY id"
    ).fetchall()
    assert found[0] == (0, 1, "one", "answered", 0.25, "")
    assert found[4] == (4, 3, "three", "timed_out", None, "told to fail")


def test_a_proposal_has_its_bill_and_its_gain(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute(
        "SELECT calls, tokens_in, tokens_out, cost_usd, gain, joined FROM proposal_yield "
        "ORDER BY proposal"
    ).fetchall()
    assert found == [
        (0, 0, 0, 0.0, None, True),
        (2, 2000, 200, 0.5, 0.5, True),
        (1, 1000, 100, 0.25, -0.5, False),
        (2, 2000, 200, 0.25, None, False),
    ]


def test_models_are_compared_by_gain_for_time_and_money(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    found = connection.execute(
        "SELECT model, calls, answered, billed_usd, proposals, accepted, better, gain_per_usd, "
        "gain_per_hour FROM model_yield ORDER BY model"
    ).fetchall()
    assert found == [
        ("one", 3, 2, 0.75, 2, 1, 1, pytest.approx(0.5 / 0.75), pytest.approx(180.0)),
        ("three", 1, 0, 0.0, None, None, None, None, None),
        ("two", 1, 1, 0.25, 1, 1, 0, 0.0, 0.0),
    ]


@pytest.mark.parametrize(("view", "name"), [("role_yield", "optimizer"), ("program_yield", "sha")])
def test_roles_and_programs_have_theirs(
    connection: duckdb.DuckDBPyConnection, view: str, name: str
) -> None:
    [row] = connection.execute(f"SELECT * FROM {view}").fetchall()
    names = [column[0] for column in connection.description or ()]
    found = dict(zip(names, row, strict=True))
    assert row[0] == name
    assert (found["proposals"], found["accepted"], found["better"]) == (3, 2, 1)
    assert (found["cost_usd"], found["mean_gain"]) == (1.0, 0.0)
