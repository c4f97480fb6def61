"""From `evo init` to a search over a model that really trains, and the same file by itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.projects import evo, rows
from tests.scripts import BIGRAM

SETTINGS = """[tool.evo]
slots = 1
founders = 0

[tool.evo.task]
budget_seconds = 1

[tool.evo.arena]
sequence_len = 32
score_tokens = 2048
device = "cpu"
"""


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the embedded text is prepared, once."""
    return {"EVO_DATA_DIR": str(tmp_path_factory.mktemp("data"))}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh project with a model that trains in a second, and an empty gene pool."""
    evo(tmp_path, "init", "mine")
    mine = tmp_path / "mine"
    (mine / "train.py").write_text(BIGRAM)
    (mine / "pyproject.toml").write_text(SETTINGS)
    for patch in (mine / "population" / "founders").iterdir():
        patch.unlink()
    return mine


@pytest.mark.torch
def test_a_fresh_project_searches(project: Path, variables: dict[str, str]) -> None:
    said = evo(project, "run", "--trials", "3", "--plain", variables=variables).stdout
    assert "3 trials, 3 with a score" in said
    assert "self-reported" not in said
    found = rows(
        project,
        "SELECT val_bpb = score, split, steps > 0, tokens > 0, (SELECT count(*) FROM curves "
        "WHERE trial = trials.id) > 0 FROM trials WHERE seq IS NOT NULL",
    )
    assert found == [(True, "search", True, True, True)] * 3


@pytest.mark.torch
def test_a_variant_is_scored_as_its_run_was_begun_whatever_the_settings_say(
    project: Path, variables: dict[str, str]
) -> None:
    settings = SETTINGS.replace("budget_seconds = 1", "budget_seconds = 1000")
    (project / "pyproject.toml").write_text(settings)
    evo(project, "run", "--trials", "1", "--budget", "1", "--plain", variables=variables)
    (project / "pyproject.toml").write_text(f'{settings}data = "nowhere"\n')
    [scored] = json.loads(evo(project, "score", "0", "--json", variables=variables).stdout)
    assert (scored["status"], scored["split"]) == ("scored", "search")

    with duckdb.connect(str(project / "archive" / "main" / "archive.duckdb")) as connection:
        connection.execute("UPDATE runs SET data_sha = 'ab'")
    done = evo(project, "score", "0", variables=variables, check=False)
    assert done.returncode == 2
    assert "begun with data_sha ab, not" in done.stderr


@pytest.mark.slow
@pytest.mark.torch
def test_a_variant_is_scored_on_the_locked_split_and_train_py_runs_alone(
    project: Path, variables: dict[str, str]
) -> None:
    evo(project, "run", "--trials", "1", "--plain", variables=variables)
    [opened] = json.loads(
        evo(project, "score", "0", "--locked", "--json", variables=variables).stdout
    )
    assert opened["split"] == "locked"
    assert opened["verdict"]["honest"]
    found = rows(project, "SELECT split, status, who != '', score > 0 FROM openings")
    assert found == [("locked", "scored", True, True)]

    done = subprocess.run(
        [sys.executable, "train.py", "--budget", "1", "--json"],
        cwd=project,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alone = json.loads(done.stdout)
    [(first,)] = rows(project, "SELECT score FROM trials ORDER BY id LIMIT 1")
    assert alone["val_bpb"] == pytest.approx(first, rel=0.2)
