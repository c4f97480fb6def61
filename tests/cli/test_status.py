"""`evo status --watch`, in a terminal and in a pipe."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from evo.engine.heartbeat import Phase
from tests.projects import evo, make_project
from tests.tui.runs import beat, empty_run, make_run, running_trial
from tests.tui.terminals import Terminal


def at_work(tmp_path: Path) -> Path:
    """A project whose engine is at work, by its heartbeat: it is this very process."""
    project = make_project(tmp_path)
    beat(make_run(project), Phase.SEARCHING, running=(running_trial(),), best=1.861)
    return project


def test_a_terminal_is_drawn_over_until_the_engine_ends(tmp_path: Path) -> None:
    project = at_work(tmp_path)
    place = empty_run(project)
    with Terminal(project, "status", "--watch", size=(80, 24)) as screen:
        screen.see("evo main is searching")
        screen.see("40%  loss 3.100")
        screen.see("what brought it")
        assert screen.text().splitlines()[0].startswith("evo main is searching")
        beat(place, Phase.STOPPED, message="all trials are done")
        screen.see("is stopped: all trials are done")
        screen.miss("40%  loss")
        assert screen.end() == 0
        assert screen.text().count("evo main") == 1


def test_a_pipe_gets_a_line_for_each_change_and_no_escape_codes(tmp_path: Path) -> None:
    project = at_work(tmp_path)
    place = empty_run(project)
    watching = subprocess.Popen(
        [sys.executable, "-m", "evo", "status", "--watch"], cwd=project, text=True,
        stdout=subprocess.PIPE, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert watching.stdout is not None
    first = watching.stdout.readline()
    assert "searching  leader 1.8610, kept 6, tried 10" in first
    beat(place, Phase.STOPPED, message="all trials are done", trials_finished=11)
    rest = watching.stdout.read()
    assert watching.wait() == 0
    assert "tried 11" in rest
    assert "evo main is stopped: all trials are done" in rest
    assert "\x1b" not in first + rest
    assert all(len(line) <= 80 for line in (first + rest).splitlines())


def test_an_engine_at_work_is_watched_and_a_paused_one_resumed(tmp_path: Path) -> None:
    project = at_work(tmp_path)
    told = evo(project, "status").stdout
    assert "evo tui " in told
    assert "evo run" not in told
    beat(empty_run(project), Phase.PAUSED)
    assert "evo resume " in evo(project, "status").stdout
    beat(empty_run(project), Phase.STOPPED)
    assert "evo run " in evo(project, "status").stdout


def test_json_is_a_line_for_each_look_and_an_interrupt_just_leaves(tmp_path: Path) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "evo", "status", "--watch", "--json"], cwd=at_work(tmp_path),
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["working"] is True
    watching.send_signal(signal.SIGINT)
    assert watching.communicate() == ("", "")
    assert watching.returncode == 0
