"""Survival: an engine that is killed loses nothing, repeats nothing and leaves nothing behind."""

import random
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import psutil
import pytest

from evo.archive.reading import Reader
from tests.projects import evo, git, make_project, rows, sql, start_engine


def ended(pids: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_many_kills_end_with_every_trial_counted_once(tmp_path: Path, kills: int) -> None:
    project, chance = make_project(tmp_path, slots=2, seconds=0.1), random.Random(7)
    published = project / "archive" / "main" / "archive.duckdb"
    finished = 0
    for _ in range(kills):
        engine = start_engine(project)
        time.sleep(chance.uniform(0.6, 2.0))
        family = {child.pid for child in psutil.Process(engine.pid).children(recursive=True)}
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        assert ended(family), "a process of a killed engine is left"
        if published.exists():
            with Reader.open(published) as reader:
                [[count]] = reader.query("SELECT count(*) FROM trials WHERE seq IS NOT NULL").rows
            assert count >= finished, "a finished trial is gone"
            finished = count
    evo(project, "run", "--plain", "--trials", "6")
    trials = sql(project, "SELECT id, seq, status, score, variant FROM trials ORDER BY id")
    done = [trial for trial in trials if trial["seq"] is not None]
    assert len(done) > finished
    assert [trial["id"] for trial in trials] == list(range(len(trials)))
    assert len({trial["seq"] for trial in done}) == len(done)
    assert {trial["status"] for trial in done} == {"scored"}
    assert all(trial["status"] == "queued" for trial in trials if trial["seq"] is None)
    # What one engine has on record, the next one didn't ask again.
    again = (
        "SELECT operator, parents, subject FROM proposals WHERE operator <> 'tune' "
        "GROUP BY ALL HAVING count(*) > 1"
    )
    assert sql(project, again) == []
    firsts = sql(
        project, "SELECT variant, count(*) AS n FROM trials WHERE purpose = 'first' GROUP BY 1"
    )
    assert {row["n"] for row in firsts} == {1}
    _check_git(project)


def _check_git(project: Path) -> None:
    repository = project / "population" / "main" / "variants.git"

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
        ).stdout

    assert "missing" not in git("fsck", "--full")
    refs = dict(line.split()[::-1] for line in git("show-ref").splitlines() if "/variants/" in line)
    for variant in sql(project, "SELECT id, commit FROM variants"):
        assert refs[f"refs/variants/{variant['id']}"] == variant["commit"]
    [champion] = sql(
        project,
        "SELECT commit FROM variants WHERE id = "
        "(SELECT variant FROM champions ORDER BY seq DESC LIMIT 1)",
    )
    assert git("rev-parse", "refs/heads/champion").strip() == champion["commit"]


def test_a_promotion_that_a_kill_cut_short_is_made_up_for(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=1)
    evo(project, "run", "--plain", "--trials", "20")
    before = sql(project, "SELECT variant FROM champions ORDER BY seq")
    assert len(before) > 1
    # What a kill between the trial's row and the promotion's leaves behind.
    with duckdb.connect(str(project / "population" / "main" / "run.duckdb")) as connection:
        connection.execute("DELETE FROM champions WHERE seq = (SELECT max(seq) FROM champions)")
    git(project, "update-ref", "refs/heads/champion", "refs/variants/0")
    evo(project, "run", "--plain", "--trials", "1")
    after = sql(project, "SELECT variant FROM champions ORDER BY seq")
    assert after[: len(before)] == before
    [(commit,)] = rows(project, f"SELECT commit FROM variants WHERE id = {after[-1]['variant']}")
    assert git(project, "rev-parse", "refs/heads/champion").strip() == commit
