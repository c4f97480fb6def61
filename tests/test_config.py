"""Settings: every mistake is met by one line that says what would be right."""

from pathlib import Path

import pytest

from evo.config import FOUNDERS, Settings, load, models_of, parse
from evo.errors import SettingsError
from evo.nouns import Direction, Recipe
from evo.search.evolution import MOST_REPLICATES


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
        (
            {"strategy": "magic"},
            "tool.evo.strategy`; it can be population, greedy, greedy-replicated, best-of-n",
        ),
        ({"task": {"clock": "sun"}}, "it can be wall, cpu"),
        ({"run": "../elsewhere"}, "tool.evo.run"),
        ({"run": FOUNDERS}, "a run can't be named founders: that is the gene pool's folder"),
        ({"task": 3}, "[tool.evo.task] must be a table"),
        ({"task": {"recipe": "command"}}, "needs tool.evo.task.command"),
        ({"task": {"direction": "sideways"}}, "tool.evo.task.direction"),
        ({"models": "openai/x"}, "tool.evo.models must be a list of names"),
        ({"models": 3}, "tool.evo.models must be a list of names"),
        ({"models": [3]}, "[tool.evo.models] must be a table"),
        ({"models": [""]}, "a model without a name"),
        ({"models": [{"name": "x", "wieght": 2}]}, "no setting `wieght`; did you mean `weight`"),
        ({"models": [{"name": "x", "weight": 0}]}, "tool.evo.models[0].weight"),
        ({"models": [{"name": "x", "reasoning_effort": "very"}]}, "it can be none, minimal, low"),
        ({"models": ["x", {"name": "x"}]}, "names x twice"),
        ({"models": [{"name": "x", "api_base": "http://me:secret@host/v1"}]}, "without a password"),
        ({"models": [{"name": "x", "api_key": "sk-1"}]}, "no setting `api_key`"),
        ({"agent": {"comand": "x"}}, "did you mean `command`"),
        ({"cost": 0}, "tool.evo.cost"),
        ({"confirmations": MOST_REPLICATES + 1}, "<= 12, for `tool.evo.confirmations`"),
    ],
)
def test_a_mistake_is_one_line(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(table)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_promotion_may_take_as_many_trials_as_a_variant_is_given() -> None:
    assert parse({"confirmations": MOST_REPLICATES}).confirmations == MOST_REPLICATES


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.evo\nseed = 3\n")
    with pytest.raises(SettingsError, match="line 1"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("tool = 3", "tool"),
        ("[tool]\nevo = 3", "tool.evo"),
        ('[tool.evo]\ntask = "train.py"', "tool.evo.task"),
        ("[[tool.evo.task]]\nscale = 1", "tool.evo.task"),
    ],
)
@pytest.mark.parametrize("overrides", [{}, {"seed": 4}, {"task.budget_seconds": 7.5}])
def test_what_stands_where_a_table_belongs_is_named_whatever_flags_are_given(
    tmp_path: Path, text: str, where: str, overrides: dict[str, object]
) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, overrides)
    assert str(caught.value).startswith(f"[{where}] must be a table, not ")


def test_enums_are_read_by_their_values() -> None:
    settings = parse(
        {"task": {"recipe": "command", "command": "python x.py", "direction": "maximise"}}
    )
    assert settings.task.recipe is Recipe.COMMAND
    assert settings.task.direction is Direction.MAXIMISE


def test_models_are_names_or_tables_and_a_flag_keeps_what_the_file_says_of_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.evo.models]]\nname = "a/b"\nweight = 2.0\n[[tool.evo.models]]\nname = "c/d"\n'
    )
    assert [one.name for one in models_of(load(tmp_path))] == ["a/b", "c/d"]
    chosen = models_of(load(tmp_path, {"models": ["a/b", "e/f"]}))
    assert [(one.name, one.weight) for one in chosen] == [("a/b", 2.0), ("e/f", 1.0)]
    assert models_of(load(tmp_path, {"models": None})) == models_of(load(tmp_path))
    assert [one.name for one in models_of(parse({"models": ["g/h"]}))] == ["g/h"]
