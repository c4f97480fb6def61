"""A command task: the script's own word, under the referee's clock."""

import time
from pathlib import Path

import pytest

from evo.arena.command import CommandReferee
from evo.arena.rules import Rules
from evo.errors import SettingsError
from evo.nouns import Clock, Direction, Measurement, Recipe, Status, Task
from evo.sandbox.sandbox import OpenSandbox, adopt_orphans

SECRET = "EVO_TEST_SECRET"


@pytest.fixture(scope="module", autouse=True)
def _adopting() -> None:
    adopt_orphans()


def task(**more: str) -> Task:
    return Task(
        editable="script.py",
        recipe=Recipe.COMMAND,
        metric="score",
        direction=Direction.MAXIMISE,
        budget_seconds=5.0,
        clock=Clock.WALL,
        **({"command": "python {editable}"} | more),  # type: ignore[arg-type]
    )


def measure(source: str, log: Path | None = None, **more: str) -> Measurement:
    rules = Rules(5.0, Clock.WALL, "cpu", 1, 1.0, 1, 1, 10.0, 10.0, 500, 1)
    return CommandReferee(task(**more), OpenSandbox(), rules).measure(source, 11, log=log)


def test_the_last_score_that_is_printed_counts(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    found = measure("print('score: 1')\nprint('score: -2.5e-1')\nprint('bye')", log)
    assert (found.status, found.score) == (Status.SCORED, -0.25), found.cause
    assert found.split == ""
    assert log.read_text() == "score: 1\nscore: -2.5e-1\nbye\n"


def test_the_seed_is_given_and_our_environment_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "1")
    source = (
        f"import os\nassert {SECRET!r} not in os.environ\nprint('score:', os.environ['EVO_SEED'])"
    )
    assert measure(source).score == 11


def test_a_pattern_of_ones_own_finds_the_score() -> None:
    assert measure("print('took 17 steps')", pattern=r"took (\d+) steps").score == 17


CASES = {
    "fails": ("raise ValueError('no')", Status.CRASHED, "ValueError: no"),
    "prints nothing": ("pass", Status.CRASHED, "don't show the score"),
    "prints no number": ("print('score: high')", Status.CRASHED, "don't show the score"),
    "prints infinity": ("print('score: 1e999')", Status.CRASHED, "nan: its score is inf"),
    "prints what can't be squared": ("print('score: -1e300')", Status.CRASHED, "another unit"),
    "sleeps": ("import time\ntime.sleep(60)", Status.TIMED_OUT, "more than 5 s"),
    "eats memory": ("x = bytearray(2**34)", Status.OUT_OF_MEMORY, ""),
    "says it failed": ("print('score: 1\\nDIVERGED')", Status.CRASHED, "DIVERGED"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_script_that_fails_is_told_apart(name: str) -> None:
    source, status, cause = CASES[name]
    found = measure(source, crash_pattern="DIVERGED")
    assert (found.status, found.score) == (status, None), found.cause
    assert cause in found.cause


def test_digits_without_end_are_read_once() -> None:
    began = time.monotonic()
    assert measure("print('score: ' + '1' * 16_000 + 'x')").score is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "more", [{"command": "python 'oops"}, {"pattern": "(["}, {"pattern": "no group"}]
)
def test_a_task_that_makes_no_sense_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"tool\.evo\.task"):
        measure("", None, **more)
