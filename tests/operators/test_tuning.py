"""Tuning: what is moved, by how much, and what is left alone."""

from __future__ import annotations

import ast
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.nouns import Brief, Outcome, Proposal
from evo.operators.steps import MOST_FACTOR, MULTIPLES, step
from evo.operators.tuning import Tune, find_literals
from evo.patch import diff
from tests.operators.shelves import BASELINE, DictShelf

SEEDS = range(200)


def tuned(source: str, seed: int, column: int = 0) -> Proposal:
    return Tune(column).propose(Brief(1, "tune", (0,), seed=seed), DictShelf({0: source}))


def labels(source: str, column: int = 0) -> dict[str, object]:
    return {each.label: each.value for each in find_literals(source, column)}


def test_only_this_machines_column_is_seen() -> None:
    cpu, cuda = labels(BASELINE, 0), labels(BASELINE, 1)
    assert cpu == {
        "DEPTH": 2, "HEADS": 2, "HEAD_DIM": 32, "TIED": True, "BATCH_SIZE": 4, "MATRIX_LR": 0.02,
        "EMBED_LR": 0.2, "BETAS[0]": 0.8, "BETAS[1]": 0.95, "GRAD_CLIP": 0.0,
    }  # fmt: skip
    assert list(cuda) == list(cpu)
    assert (cuda["DEPTH"], cuda["TIED"], cuda["BETAS[1]"]) == (8, False, 0.99)


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\nSeed = 2\nSEED = 3\nDATA_SEED = 3\n__VERSION__ = 1\n_A = 1\n",
        "A = 'text'\nB = None\nC = f(1)\nD = 1 + 2\nE = (1, 2)[GPU]\nF = G = 3\nH = 1e999\n",
        "I = (1, 2, 3)[CUDA]\nJ: int\nK = 1j\nL = 99999999999999999999\ndef f():\n    M = 1\n",
    ],
)
def test_what_is_no_constant_is_left_alone(source: str) -> None:
    assert labels(source) == {}
    refused = tuned(source, 0)
    assert refused.outcome is Outcome.MALFORMED
    assert "no number or switch" in refused.cause


def test_plain_typed_negative_and_power_constants_are_seen() -> None:
    source = "A: float = 0.5\nB = -3\nC = 2**19\nD = [1, (2, 0.5)]\n"
    assert labels(source) == {
        "A": 0.5, "B": -3, "C": 524288, "D[0]": 1, "D[1][0]": 2, "D[1][1]": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_a_change_touches_its_constants_and_nothing_else(seed: int) -> None:
    proposal = tuned(BASELINE, seed)
    assert proposal.source is not None
    before, after = labels(BASELINE), labels(proposal.source)
    moved = [label for label in before if before[label] != after[label]]
    assert len(moved) in (1, 2)
    told = dict(part.split(" ", 1) for part in proposal.title.split(", "))
    assert sorted(told) == sorted(moved)
    assert labels(BASELINE, 1) == labels(proposal.source, 1) or "GRAD_CLIP" in moved
    lines = diff(BASELINE, proposal.source).splitlines()
    removed = [line for line in lines if line.startswith("-") and not line.startswith("---")]
    assert 1 <= len(removed) <= len(moved)
    for line in removed:  # the comment behind it is still there
        assert line.partition("#")[2] in proposal.source


def test_sometimes_two_constants_move_and_each_gets_its_turn() -> None:
    titles = [tuned(BASELINE, seed).title for seed in SEEDS]
    assert 20 <= sum(", " in title for title in titles) <= 60
    assert {title.split()[0] for title in titles} == set(labels(BASELINE))


def test_two_values_in_one_line_are_both_moved_in_place() -> None:
    source = "é = 'é'; A = (1.0, 2.0)  # two\r\nB = 'x'\r\n"
    pairs = [tuned(source, seed) for seed in SEEDS]
    both = next(each for each in pairs if "," in each.title)
    assert both.source is not None
    assert both.source.startswith("é = 'é'; A = (")
    assert both.source.endswith(")  # two\r\nB = 'x'\r\n")
    values = labels(both.source)
    assert values["A[0]"] != 1.0
    assert values["A[1]"] != 2.0


@given(st.floats(1e-300, 1e300), st.integers(0, 2**31))
def test_a_float_moves_within_its_scale_and_keeps_its_sign(value: float, seed: int) -> None:
    for sign in (1, -1):
        moved = float(step(sign * value, repr(sign * value), random.Random(seed)))
        assert moved * sign > 0
        if abs(moved) != value:  # the last few floats below 1 have no room
            assert 1 / MOST_FACTOR * 0.9 < abs(moved) / value < MOST_FACTOR * 1.1


@given(st.floats(0.9, 1 - 1e-9), st.integers(0, 2**31))
def test_a_float_near_one_stays_below_one(value: float, seed: int) -> None:
    moved = float(step(value, repr(value), random.Random(seed)))
    assert 0 < moved < 1
    assert moved != value
    assert abs(math.log((1 - moved) / (1 - value))) < math.log(MOST_FACTOR * 1.1)


@given(st.integers(1, 2**62), st.integers(0, 2**31))
def test_an_integer_moves_stays_positive_and_as_divisible(value: int, seed: int) -> None:
    moved = int(step(value, str(value), random.Random(seed)))
    assert moved > 0
    assert moved != value
    if value >= 16 and value.bit_count() == 1:
        assert moved in (value * 2, value // 2)
    elif value >= 16:
        for multiple in MULTIPLES:
            if value % multiple == 0:
                assert moved % multiple == 0
                break
    else:
        assert abs(moved - value) <= 2 or moved in (value * 2, value // 2)


@pytest.mark.parametrize(
    ("value", "written", "wanted"),
    [
        (True, "True", {"False"}),
        (0, "0", {"1"}),
        (1, "1", {"2", "3"}),
        (2, "2", {"1", "3", "4"}),
        (524288, "2**19", {"2**18", "2**20"}),
        (131072, "131_072", {"65_536", "262_144"}),
        (0.0, "0.0", {"0.01", "0.02", "0.05", "0.1", "0.2", "1.0"}),
        (-32, "-32", {"-16", "-64"}),
    ],
)
def test_the_style_of_a_literal_is_kept(value: float, written: str, wanted: set[str]) -> None:
    assert {step(value, written, random.Random(seed)) for seed in SEEDS} == wanted


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**31))
def test_a_step_is_always_a_finite_literal(value: float, seed: int) -> None:
    assert math.isfinite(ast.literal_eval(step(value, repr(value), random.Random(seed))))


def set_to(subject: str) -> Proposal:
    brief = Brief(1, "tune", (0,), seed=1, subject=subject)
    return Tune(0).propose(brief, DictShelf({0: BASELINE}))


def test_constants_are_set_to_what_the_brief_names_in_this_machines_column_only() -> None:
    proposal = set_to('{"MATRIX_LR": 0.03, "DEPTH": 4, "TIED": false, "HEADS": 2}')
    assert proposal.source is not None
    now = labels(proposal.source)
    assert (now["MATRIX_LR"], now["DEPTH"], now["TIED"]) == (0.03, 4, False)
    assert labels(proposal.source, 1)["DEPTH"] == 8
    assert "HEADS" not in proposal.title  # it had that value


@pytest.mark.parametrize(
    ("subject", "cause"),
    [
        ("DEPTH=4", "as JSON"),
        ("[3]", "as JSON"),
        ('{"WEIGHT": 4}', "no constant WEIGHT"),
        ('{"DEPTH": "__import__"}', "a number or a switch"),
        ('{"DEPTH": NaN}', "a number or a switch"),
    ],
)
def test_a_brief_that_can_not_be_set_is_refused_by_name(subject: str, cause: str) -> None:
    proposal = set_to(subject)
    assert proposal.outcome is Outcome.MALFORMED
    assert cause in proposal.cause
