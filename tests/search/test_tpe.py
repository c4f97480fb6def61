"""TPE over the constants: it tunes, a replay asks the same, and what is missing is said."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from evo.engine import inbox
from evo.engine.heartbeat import Phase
from evo.engine.inbox import Verb
from evo.errors import SettingsError
from evo.nouns import (
    Brief,
    Direction,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Status,
    Trial,
    Variant,
)
from evo.search.breeding import Plan
from evo.search.rivals import ON_CONSTANTS
from evo.search.search import Search
from evo.search.tpe import FACTOR, Knob, Tpe
from tests.projects import assembled, make_project, rows

CONSTANTS: dict[str, bool | int | float] = {
    "LR": 0.02, "WIDTH": 64, "DEPTH": 6, "BETA": 0.9, "TIED": True, "CLIP": 0.0,
}  # fmt: skip
BEST = {"LR": 0.005, "WIDTH": 128, "DEPTH": 12, "BETA": 0.95, "TIED": False}


def made(constants: Mapping[str, bool | int | float] = CONSTANTS) -> Search:
    return ON_CONSTANTS["tpe"](Plan(Direction.MINIMISE, (), 0, 8, 1, constants=constants))


def loss_of(values: Mapping[str, bool | int | float]) -> float:
    """Octaves from the best values, squared and added up."""
    gaps = [math.log2(values[one] / BEST[one]) for one in ("LR", "WIDTH", "DEPTH")]
    return sum(gap**2 for gap in gaps) + (values["TIED"] != BEST["TIED"])


def records(
    brief: Brief, values: Mapping[str, bool | int | float] | None = None
) -> list[Proposal | Variant | Trial]:
    """What comes of a brief, with the values that its subject names if none are given."""
    number = brief.id
    values = values or (json.loads(brief.subject) if brief.subject else CONSTANTS)
    variant = Variant(
        number, "", brief.parents, brief.operator, "", "", "", str(number), 10, number,
        datetime(2026, 1, 1), brief.subject,
    )  # fmt: skip
    status = Status.CRASHED if number % 9 == 5 else Status.SCORED
    measurement = Measurement(status, loss_of(values) if status is Status.SCORED else None)
    return [
        Proposal(number, brief.operator, brief.parents, Outcome.ACCEPTED, subject=brief.subject),
        variant,
        Trial(number, number, 0, Purpose.FIRST, 1.0, 1.0, measurement=measurement),
    ]


def explored(
    search: Search, steps: int, seed: int
) -> tuple[list[Proposal | Variant | Trial], float]:
    """What was told, and the mean loss of the second half."""
    told: list[Proposal | Variant | Trial] = []
    for number in range(steps):
        brief = search.ask(number, random.Random(f"{seed}:{number}"))
        assert brief is not None
        for record in records(brief):
            search.tell(record)
            told.append(record)
    late = [one.score for one in told if isinstance(one, Trial) and one.id > steps // 2]
    return told, sum(score for score in late if score is not None) / len(late)


def test_it_moves_all_constants_at_once_and_learns_where_they_belong() -> None:
    search = made()
    told, late = explored(search, 60, 1)
    early = [one.score for one in told if isinstance(one, Trial) and 0 < one.id <= 10 and one.score]
    assert late < 0.5 * sum(early) / len(early)
    assert search.champion not in (None, 0)
    [values] = [json.loads(one.subject) for one in told if isinstance(one, Variant) and one.id == 3]
    assert set(values) == set(BEST)  # a zero has no neighbourhood
    assert isinstance(values["DEPTH"], int) and isinstance(values["TIED"], bool)
    assert values["WIDTH"].bit_count() == 1


def test_what_people_hand_in_is_measured_and_the_constants_are_tuned_on() -> None:
    search = made()
    explored(search, 20, 3)
    mine = Brief(20, "human", (0,), "20260101T000000-0001")
    for record in records(mine, CONSTANTS):
        search.tell(record)
    brief = search.ask(21, random.Random(1))
    assert brief is not None
    assert (brief.operator, brief.parents) == ("tune", (0,))
    assert set(json.loads(brief.subject)) == set(BEST)


def test_a_run_goes_on_from_its_own_constants_when_the_file_has_others(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assembled(project, strategy="tpe", trials=4).run()
    script = (project / "script.py").read_text()
    script = script.replace("KNOB = 1.0", "KNOB = 16.0").replace("THIRD", "RENAMED")
    (project / "script.py").write_text(script)
    inbox.ask(project / "population" / "main", Verb.ENQUEUE, title="Mine", text=script)
    assert assembled(project, strategy="tpe", trials=12).run() is Phase.STOPPED
    tried = rows(project, "SELECT subject FROM proposals WHERE operator = 'tune' ORDER BY id")
    assert len(tried) >= 12
    for [subject] in tried:
        values = json.loads(subject)
        assert set(values) == {"KNOB", "OTHER", "THIRD", "FLAG"}
        assert 1.0 / FACTOR <= values["KNOB"] <= 1.0 * FACTOR
    assert rows(project, "SELECT count(*) FROM variants WHERE operator = 'human'") == [(1,)]


def test_told_the_same_it_asks_the_same() -> None:
    told, _ = explored(made(), 20, 2)
    twin = made()
    for record in told:
        twin.tell(record)
    first = made()
    explored(first, 20, 2)
    asked = [search.ask(99, random.Random(5)) for search in (first, twin)]
    assert asked[0] == asked[1] is not None


@pytest.mark.parametrize("value", [0.9, 0.5, 0.7, -0.02, 3.0, 7, 64, -5, 1])
def test_a_constant_stays_within_its_factor_and_keeps_its_sign(value: float) -> None:
    knob = Knob(value)
    reach = math.log2(FACTOR)
    for octaves in (-reach, -0.5, 0.0, 1.0, reach):
        moved = knob.at(octaves)
        assert type(moved) is type(value)
        assert math.copysign(1, moved) == math.copysign(1, value)
        assert 0 < abs(moved) <= FACTOR * abs(value) * 1.01
        assert abs(moved) < 1 or abs(value) >= 1 or value == -0.02
    assert knob.at(0.0) == value


@pytest.mark.parametrize("value", [0.9, 0.5, 0.7, -0.02, 3.0, 100])
def test_what_was_tried_is_told_in_the_octaves_that_make_it(value: float) -> None:
    search = made({"X": value})
    assert isinstance(search, Tpe)
    for octaves in (-2.0, -1.0, -0.5, 0.0, 1.0, 2.0):
        moved = search._knobs["X"].at(octaves)
        assert search._knobs["X"].at(search._back("X", moved)) == pytest.approx(moved, rel=0.01)


def test_what_another_strategy_has_tuned_before_is_no_evidence() -> None:
    search = made()
    explored(search, 12, 3)
    for record in records(Brief(12, "tune", (0,)), CONSTANTS):
        search.tell(record)
    assert search.ask(13, random.Random(1)) is not None


def test_without_constants_it_says_what_to_do() -> None:
    with pytest.raises(SettingsError, match="upper-case constants"):
        made({"CLIP": 0.0})


def test_without_optuna_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it weren't installed
    with pytest.raises(SettingsError, match="evo-search\\[tpe\\]"):
        made()
