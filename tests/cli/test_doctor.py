"""`evo doctor`: what it says of this machine, and of one that lacks things."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECRET = "sk-0123456789abcdef"


def doctor(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs it with a cache of its own, so that the sandbox is tried anew."""
    keys = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "evo", "doctor", *arguments],
        cwd=folder,
        env=keys | {"XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def findings(folder: Path, **environment: str) -> dict[str, dict[str, Any]]:
    done = doctor(folder, "--json", **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return {one["name"].strip(): one for one in json.loads(done.stdout)}


def test_it_says_of_everything_what_is_there(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert {
        "evo", "sandbox", "bubblewrap", "namespaces", "landlock", "control groups", "torch", "GPU",
        "data", "disk, project", "disk, temporary", "git", "DuckDB", "LLM keys",
    } <= found.keys()  # fmt: skip
    assert found["git"]["found"][0].isdigit()
    assert found["DuckDB"]["found"][0].isdigit()
    for one in found.values():
        assert one["good"] or one["cost"], one


def test_it_tells_that_a_key_is_set_and_never_the_key(tmp_path: Path) -> None:
    for arguments in ((), ("--json",)):
        done = doctor(tmp_path, *arguments, ANTHROPIC_API_KEY=SECRET)
        assert "ANTHROPIC_API_KEY set" in done.stdout
        assert SECRET not in done.stdout + done.stderr
    assert not findings(tmp_path)["LLM keys"]["good"]


def test_without_bubblewrap_and_git_it_says_what_that_costs(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    done = doctor(tmp_path, "--json", PATH=str(empty))
    found = {one["name"].strip(): one for one in json.loads(done.stdout)}
    assert "apt install bubblewrap" in found["bubblewrap"]["found"]
    assert "no search can run" in found["git"]["cost"]
    assert done.returncode == 1


def test_an_old_git_is_good_enough(tmp_path: Path) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 2.30.1\n")
    (tmp_path / "git").chmod(0o755)
    found = findings(tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin")
    assert found["git"]["good"]
    assert (found["git"]["found"], found["git"]["cost"]) == ("2.30.1", "")


def test_a_broken_settings_file_is_a_finding_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.evo]\nslotz = 3\n")
    done = doctor(tmp_path)
    assert done.returncode == 1
    assert "did you mean `slots`?" in done.stdout
    assert "Traceback" not in done.stderr


def test_walls_that_are_switched_off_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.evo]\nunsafe = true\n[tool.evo.arena]\nsandbox = "open"\n'
    )
    found = findings(tmp_path)
    assert not found["sandbox"]["good"]
    assert found["sandbox"]["cost"] == "trials can read and change all that you can"


def test_walls_that_are_asked_for_and_missing_are_vital(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.evo.arena]\nsandbox = "bubblewrap"\n')
    empty = tmp_path / "bin"
    empty.mkdir()
    git = shutil.which("git")
    assert git
    (empty / "git").symlink_to(git)
    done = doctor(tmp_path, PATH=str(empty))
    assert done.returncode == 1
    assert "no sandbox works here (bubblewrap: bubblewrap isn't installed" in done.stdout


@pytest.mark.parametrize("again", [(), ("--again",)])
def test_it_can_be_asked_again(tmp_path: Path, again: tuple[str, ...]) -> None:
    assert doctor(tmp_path, *again).stdout.splitlines()[0].startswith("ok")
