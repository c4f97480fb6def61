"""The heartbeat: whole or not at all, and a reused pid is no sign of life."""

import os
from pathlib import Path

from evo.engine import heartbeat
from evo.engine.heartbeat import Heartbeat, Phase


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


def test_only_the_very_process_that_wrote_it_is_alive() -> None:
    pid, started = heartbeat.this_process()
    assert heartbeat.alive(beat(pid, started))
    assert not heartbeat.alive(beat(pid, started - 1000))  # its pid was given to us later
    assert not heartbeat.alive(beat(2**22 + 1, started))
    assert not heartbeat.alive(beat(pid, started, Phase.STOPPED))
    assert not heartbeat.alive(None)
    assert os.getpid() == pid
