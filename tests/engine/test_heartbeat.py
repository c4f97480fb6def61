"""The heartbeat: whole or not at all, and a reused pid is no sign of life."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from evo.engine import heartbeat
from evo.engine.heartbeat import Heartbeat, Mark, Phase
from tests.projects import wait_until


def beat(pid: int, started: float, phase: Phase = Phase.SEARCHING) -> Heartbeat:
    return Heartbeat(run="main", pid=pid, started=started, at=0.0, phase=phase, best=1.5)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = beat(*heartbeat.this_process())
    heartbeat.write(tmp_path, written)
    assert heartbeat.read(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == [heartbeat.FILE]


def test_nothing_or_nonsense_is_no_heartbeat(tmp_path: Path) -> None:
    assert heartbeat.read(tmp_path) is None
    (tmp_path / heartbeat.FILE).write_bytes(b'{"run": "main", "pi')
    assert heartbeat.read(tmp_path) is None


def test_what_was_so_after_a_trial_is_told_until_it_is_too_long_ago() -> None:
    marks = tuple(
        Mark(trial=trial, trials_finished=trial + 1, kept=1, best=2.0 - trial) for trial in (3, 5)
    )
    now = structs.replace(beat(*heartbeat.this_process()), trials_finished=7, marks=marks)
    after = now.after(5)
    assert after is not None
    assert (after.trials_finished, after.kept, after.best) == (6, 1, -3.0)
    assert now.after(4) is None


def test_only_the_very_process_that_wrote_it_is_alive() -> None:
    pid, started = heartbeat.this_process()
    assert heartbeat.alive(beat(pid, started))
    assert not heartbeat.alive(beat(pid, started - 1000))  # its pid was given to us later
    assert not heartbeat.alive(beat(2**22 + 1, started))
    assert not heartbeat.alive(beat(pid, started, Phase.STOPPED))
    assert not heartbeat.alive(None)
    assert os.getpid() == pid


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_process_is_known_by_when_it_started_since_boot_whatever_it_is_called(
    tmp_path: Path,
) -> None:
    odd = tmp_path / "a) Z 7 (b"
    odd.symlink_to(Path(sys.executable).resolve())
    with subprocess.Popen([odd, "-c", "import time; time.sleep(60)"]) as process:
        try:
            stat = Path(f"/proc/{process.pid}/stat").read_text()
            assert odd.name in stat
            since_boot = int(stat.split(") ")[-1].split()[19])
            assert heartbeat.process_start(process.pid) == since_boot > 0
        finally:
            process.kill()
        wait_until(lambda: heartbeat.process_start(process.pid) == 0, "it has ended")
