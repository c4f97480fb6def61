"""Titles and reasons that hold what might be taken for markup are printed as they are."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.projects import make_project
from tests.tui.runs import make_run

TITLE = "[link=https://elsewhere.example]x[/link] [/b] :warning:"


@pytest.mark.parametrize("command", [["show", "3"], ["best"], ["lineage", "3"], ["status"]])
def test_a_title_is_no_markup(tmp_path: Path, command: list[str]) -> None:
    project = make_project(tmp_path)
    place = make_run(project)
    with duckdb.connect(str(place.archive)) as archive:
        archive.execute("UPDATE variants SET title = ?, rationale = ?", [TITLE, TITLE])
    said = subprocess.run(
        [sys.executable, "-m", "evo", *command],
        cwd=project,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "HOME": str(tmp_path)},
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert TITLE in said.stdout
