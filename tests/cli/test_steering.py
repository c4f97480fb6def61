"""The commands that steer: what the engine answers is printed, and a refusal is an error."""

from pathlib import Path

import pytest

from evo.engine import heartbeat
from evo.engine.heartbeat import Phase
from tests.projects import evo, make_project, start_engine, wait_until


def is_searching(project: Path) -> bool:
    beat = heartbeat.read(project / "population" / "main")
    return beat is not None and beat.phase is Phase.SEARCHING and beat.trials_finished > 0


def test_a_refusal_is_an_error_with_its_whole_reason(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2, seconds=0.2)
    engine = start_engine(project)
    try:
        wait_until(lambda: is_searching(project), "it searches")
        refused = {
            ("ban", "0"): "the baseline can't be banned: it is what all others are compared with",
            ("slots", "5"): "this engine has 2 slots: name 1 to 2",
            ("kill", "9999"): "trial 9999 isn't running",
            ("budget", "--cost", "3"): "no model is asked in this run, and nothing costs anything",
        }
        for words, reason in refused.items():
            done = evo(project, *words, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {reason}\n")
        assert "noted for language models" in evo(project, "hint", "wider: two\nlines").stdout
        assert evo(project, "pause").stdout == "paused\n"
    finally:
        evo(project, "stop", "--now", check=False)
        engine.wait(60)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("budget", "--trials", "abc"), "'abc' isn't a whole number above 0, or `none`"),
        (("budget", "--hours", "nan"), "'nan' isn't a number above 0, or `none`"),
        (("budget",), "name --trials N"),
        (("enqueue", "empty.patch"), "empty.patch is empty"),
    ],
)
def test_what_makes_no_sense_never_reaches_an_engine(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    project = make_project(tmp_path)
    (project / "empty.patch").touch()
    done = evo(project, *words, check=False)
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (project / "population" / "main").exists()
