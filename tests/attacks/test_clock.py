"""The budget on a CPU is CPU seconds: attacks that burn some and hide them."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from evo.sandbox.sandbox import Cell, Limits, Tier, TierSandbox, adopt_orphans

BURNT_SECONDS = 1.5
BURN = """
import os, signal, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def say(word):
    os.write(1, word.encode() + b"\\n")
"""
ATTACKS = {
    "each process goes on as its own child": """
if os.fork() == 0:
    for _ in range(10):
        burn(0.15)
        if os.fork():
            os._exit(0)
    say("burnt")
    os._exit(0)
time.sleep(60)
""",
    "children that nobody waits for": """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(10):
    reading, writing = os.pipe()
    if os.fork() == 0:
        burn(0.15)
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)  # until its end
say("burnt")
time.sleep(60)
""",
    "a child in another session, and its end": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        burn(1.5)
        say("burnt")
    os._exit(0)
time.sleep(60)
""",
    "threads": """
import threading
threads = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(8)]
for thread in threads:
    thread.start()
burn(1.5)
say("burnt")
time.sleep(60)
""",
}
SAVINGS = """
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(writing, os.getpid().to_bytes(4, "little"))
        burn(1.5)
        say("saved")
        time.sleep(60)
    os._exit(0)
os.wait()
os.read(0, 1)
os.kill(int.from_bytes(os.read(reading, 4), "little"), 9)
time.sleep(0.2)
burn(1.0)
say("spent")
time.sleep(60)
"""
"""CPU seconds that are used before the clock starts must not be taken off those that follow."""

CRUMBS = """
reading, writing = os.pipe()
for _ in range(50):
    if os.fork() == 0:
        burn(0.009)
        os.write(writing, b"x")
        time.sleep(60)
for _ in range(50):
    os.read(reading, 1)
say("burnt")
time.sleep(60)
"""
"""Each process ends before the kernel's first tick."""


@pytest.fixture(scope="module", autouse=True)
def _adopting() -> None:
    adopt_orphans()


@contextmanager
def started(tier: Tier, script: str) -> Iterator[Cell]:
    words = ["python", "-c", BURN + script]
    cell = TierSandbox(tier).start(
        words, limits=Limits(memory_mb=500), threads=1, merge_output=True
    )
    try:
        yield cell
    finally:
        cell.end()


def used_when(cell: Cell, word: str) -> float:
    """CPU seconds when it has said this; until then it is looked after as by a referee."""
    deadline = time.monotonic() + 60
    while word not in cell.log.tail():
        assert time.monotonic() < deadline
        assert cell.poll() is None, cell.log.tail()
        cell.meter.survey()
        time.sleep(0.05)
    cell.meter.survey(at_once=True)
    return cell.meter.most_cpu_seconds()


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_second_is_counted(tier: Tier, attack: str) -> None:
    with started(tier, ATTACKS[attack]) as cell:
        assert used_when(cell, "burnt") > 0.95 * BURNT_SECONDS


def test_what_many_do_in_less_than_a_tick_is_counted(tier: Tier) -> None:
    with started(tier, CRUMBS) as cell:
        assert used_when(cell, "burnt") > 0.95 * 50 * 0.009


def test_no_seconds_are_saved_up(tier: Tier) -> None:
    with started(tier, SAVINGS) as cell:
        before = used_when(cell, "saved")
        os.write(cell.inbound, b"x")
        assert used_when(cell, "spent") - before > 0.9
