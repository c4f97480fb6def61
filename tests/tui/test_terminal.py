"""End to end in a real terminal: a search with real trials, watched, steered, lost and found."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evo.engine import heartbeat, inbox
from evo.engine.heartbeat import Heartbeat, Phase
from evo.engine.inbox import Verb
from tests.projects import evo, make_project, rows, wait_until
from tests.tui.terminals import Terminal


def now(project: Path) -> Heartbeat:
    found = heartbeat.read(project / "population" / "main")
    assert found is not None
    return found


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project of short trials; no engine is left behind."""
    made = make_project(tmp_path, seconds=0.3)
    yield made
    folder = made / "population" / "main"
    if heartbeat.alive(heartbeat.read(folder)):
        inbox.ask(folder, Verb.STOP, how="now")
        wait_until(lambda: not heartbeat.alive(heartbeat.read(folder)), "it has stopped")


@pytest.mark.slow
def test_a_search_outlives_its_screen_and_is_steered_from_the_next_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = "import sys; open(sys.argv[1], 'a').write('\\n## Role: thrifty\\n\\nHalve the rates.')"
    monkeypatch.setenv("VISUAL", f'{sys.executable} -c "{editor}"')
    with Terminal(project, "run") as first:
        first.see("1 Overview")
        first.see("searching")
        first.see("score self-reported")
        first.press("2")
        first.see("Baseline")
        first.kill()
    seen = now(project)
    assert heartbeat.alive(seen)
    wait_until(lambda: now(project).trials_finished > seen.trials_finished, "it is ahead")
    with Terminal(project, "tui") as second:
        second.see("1 Overview")
        second.press("P")
        second.see("Paused: no new trial is started")
        second.press("P")
        second.see("● searching")
        second.press("6")
        second.see("Lower is better.")
        second.press("e")
        second.see("Halve the rates.")
        second.see("2 versions so far")  # a proposal was asked for under the new one
        second.press("s")
        second.see("Stop: let the running trials finish")
        second.press("\x1b")
        second.miss("Stop: let the running trials finish")
        second.press("q")
        second.see("The engine works on. Leave it so?")
        second.press("d")
        assert second.end() == 0
        assert "leaked" not in second.text()
    assert heartbeat.alive(now(project))
    with Terminal(project, "tui") as third:
        third.see("1 Overview")
        third.press("q")
        third.see("Stop now")
        third.press("n")
        assert third.end() == 0
    wait_until(lambda: now(project).phase is Phase.STOPPED, "it has stopped")
    text = (project / "program.md").read_bytes()
    asked_under = "SELECT program_sha FROM proposals ORDER BY seq DESC LIMIT 1"
    assert rows(project, asked_under) == [(hashlib.sha256(text).hexdigest(),)]
    asked = rows(project, "SELECT verb, outcome FROM requests ORDER BY asked_at")
    assert asked == [("pause", "paused"), ("resume", "resumed"), ("stop", "stopping")]


@pytest.mark.slow
def test_a_run_that_is_left_to_finish_prints_its_end(project: Path) -> None:
    with Terminal(project, "run") as screen:
        screen.see("score self-reported")
        screen.press("q")
        screen.see("Leave it so?")
        screen.press("f")
        screen.see("next")
        assert screen.end() == 0
        assert "evo run" in screen.text()
    assert not heartbeat.alive(now(project))


def test_without_a_terminal_the_screen_says_what_to_use(tmp_path: Path) -> None:
    done = evo(make_project(tmp_path), "tui", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "evo tui needs a terminal; `evo status` prints" in done.stderr


def test_what_to_use_without_a_terminal_names_the_run(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project / "population" / "night").mkdir(parents=True)
    done = evo(project, "tui", "night", check=False)
    assert "`evo status --run night` prints" in done.stderr


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    with Terminal(project, "tui", "nothing") as screen:
        assert screen.end() == 2
        assert "there is no run nothing here" in screen.text()
