"""Settings: every mistake is met by one line that says what would be right."""

from pathlib import Path

import pytest

from evo.config import Settings, load, parse
from evo.errors import SettingsError
from evo.nouns import Direction, Recipe


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_flags_go_above_the_file_and_none_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.evo]\nseed = 3\nrun = "a"\n[tool.evo.task]\nbudget_seconds = 5\n'
    )
    settings = load(tmp_path, {"seed": 4, "task.budget_seconds": 7.5, "run": None})
    assert (settings.seed, settings.run, settings.task.budget_seconds) == (4, "a", 7.5)


def test_another_tools_table_is_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nsed = 3\n")
    assert load(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"sede": 1}, "has no setting `sede`; did you mean `seed`?"),
        ({"task": {"budget": 1}}, "[tool.evo.task] has no setting `budget`"),
        ({"zzz": 1}, "known: run, strategy"),
        ({"task": {"budget_seconds": 0}}, "tool.evo.task.budget_seconds"),
        ({"task": {"budget_seconds": -1}}, "> 0"),
        ({"slots": "two"}, "tool.evo.slots"),
        ({"slots": 0}, "tool.evo.slots"),
        ({"strategy": "magic"}, "tool.evo.strategy`; it can be population, greedy, random"),
        ({"task": {"clock": "sun"}}, "it can be wall, cpu"),
        ({"run": "../elsewhere"}, "tool.evo.run"),
        ({"task": 3}, "[tool.evo.task] must be a table"),
        ({"task": {"recipe": "command"}}, "needs tool.evo.task.command"),
        ({"task": {"direction": "sideways"}}, "tool.evo.task.direction"),
    ],
)
def test_a_mistake_is_one_line(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(table)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.evo\nseed = 3\n")
    with pytest.raises(SettingsError, match="line 1"):
        load(tmp_path)


def test_enums_are_read_by_their_values() -> None:
    settings = parse(
        {"task": {"recipe": "command", "command": "python x.py", "direction": "maximise"}}
    )
    assert settings.task.recipe is Recipe.COMMAND
    assert settings.task.direction is Direction.MAXIMISE
