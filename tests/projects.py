"""Small projects to run evo in as a user would: a script that prints a score, and settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evo.archive.reading import Reader
from evo.config import load
from evo.engine.assembly import assemble
from evo.engine.engine import Engine
from evo.patch import diff

SCRIPT = """import time
KNOB = 1.0
OTHER = 0.5
THIRD = 100
FLAG = False
time.sleep({seconds})
print("score:", abs(KNOB - 3) + abs(OTHER - 0.1) + abs(THIRD - 64) / 64 + FLAG)
"""
SETTINGS = """[tool.evo]
slots = {slots}
founders = 2

[tool.evo.task]
recipe = "command"
editable = "script.py"
command = "python {{editable}}"
metric = "score"
clock = "wall"
budget_seconds = 20
"""
FOUNDERS = {
    "wider": ("KNOB = 1.0", "KNOB = 2.0"),
    "smaller": ("OTHER = 0.5", "OTHER = 0.2"),
    "shorter": ("THIRD = 100", "THIRD = 80"),
}


def make_project(
    folder: Path, *, slots: int = 1, seconds: float = 0.0, script: str | None = None
) -> Path:
    """A project of a command task in a folder; lower scores are better, and 0 is the best."""
    script = SCRIPT.replace("{seconds}", str(seconds)) if script is None else script
    (folder / "script.py").write_text(script)
    (folder / "pyproject.toml").write_text(SETTINGS.format(slots=slots))
    (folder / "program.md").write_text("Lower is better.\n")
    pool = folder / "population" / "founders"
    pool.mkdir(parents=True)
    for name, (old, new) in FOUNDERS.items():
        if old in script:
            patch = diff(script, script.replace(old, new), "script.py")
            (pool / f"{name}.patch").write_text(f"Title: {name}\nRationale: why not.\n\n{patch}")
    return folder


def evo(
    project: Path, *arguments: str, check: bool = True, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command of evo in a project, as a user would, with its output in pipes."""
    done = subprocess.run(
        [sys.executable, "-m", "evo", *arguments],
        cwd=project,
        env=os.environ | {"COLUMNS": "80"} | dict(variables or {}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"evo {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def sql(project: Path, query: str) -> list[dict[str, object]]:
    """Rows of the published archive."""
    found: list[dict[str, object]] = json.loads(evo(project, "sql", query, "--json").stdout)
    return found


def start_engine(project: Path, **overrides: object) -> subprocess.Popen[bytes]:
    """An engine without a picture, as `evo run` starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "evo", "engine", json.dumps(overrides)],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def assembled(project: Path, **overrides: object) -> Engine:
    """An engine of a project, in this process; its settings are given with underscores for dots."""
    settings = load(project, {name.replace("__", "."): value for name, value in overrides.items()})
    return assemble(
        project=project,
        settings=settings,
        folder=project / "population" / settings.run,
        archive_folder=project / "archive" / settings.run,
        baseline=(project / settings.task.editable).read_text(),
    )


def rows(project: Path, query: str, run: str = "main") -> list[tuple[Any, ...]]:
    """Rows of the published archive, read in this process."""
    with Reader.open(project / "archive" / run / "archive.duckdb") as reader:
        return list(reader.query(query).rows)


def git(project: Path, *arguments: str, run: str = "main") -> str:
    """What git says of a run's variants."""
    repository = project / "population" / run / "variants.git"
    return subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
    ).stdout


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Looks again and again until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)
