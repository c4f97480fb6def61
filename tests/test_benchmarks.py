"""Benchmarks that take hours, and what could end them before their time."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.projects import make_project

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FICKLE = """import os, sys
if os.environ["EVO_SEED"] == "1000001":
    sys.exit("it broke")
print("score:", int(os.environ["EVO_SEED"]) - 1_000_000)
"""


def test_a_seed_without_a_score_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    greedy = import_module("greedy")
    made = make_project(tmp_path, script=FICKLE)
    assert greedy.measure(made / "script.py", 3) == {1_000_000: 0.0, 1_000_002: 2.0}
    with pytest.raises(greedy.CommandError, match="no-such-file"):
        greedy.measure(made / "no-such-file.py", 3)


def test_a_search_that_fails_says_so_in_its_row_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("population-0", "greedy-0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text("ours = True\n")
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "greedy.py"), "--seeds", "1", "--folder", str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    rows = done.stdout.splitlines()[2:]
    assert [row[: row.index(" in ")] for row in rows] == [
        "| population | 0 | failed: evo init", "| greedy | 0 | failed: evo init",
    ]  # fmt: skip
    assert "has train.py already" in rows[0]
