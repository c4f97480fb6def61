"""Slots on this machine: trials that are measured, lost or given up, and nothing left behind."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from evo.arena.rules import Rules
from evo.arena.worker import Setup
from evo.errors import ArenaError
from evo.executors.executor import TrialEvent, TrialLost, TrialMeasured
from evo.executors.local import LocalExecutor
from evo.nouns import Clock, Direction, Recipe, Status, Task
from evo.sandbox.walls import TRIED

RULES = Rules(20.0, Clock.WALL, "cpu", 1, 1.0, 1, 1, 10.0, 10.0, 500, 1)
SCORE = "import os, sys\nprint('score:', os.environ['EVO_SEED'])\n"
SLEEP = "import time\ntime.sleep(60)\n"


def setup(command: str = "python {editable}", pattern: str = "") -> Setup:
    task = Task(
        editable="script.py",
        recipe=Recipe.COMMAND,
        metric="score",
        direction=Direction.MINIMISE,
        budget_seconds=20.0,
        clock=Clock.WALL,
        command=command,
        pattern=pattern,
    )
    return Setup(task, RULES, "")


class Slots:
    """An executor and the events that came of it."""

    def __init__(self, *setups: Setup) -> None:
        self.events: queue.SimpleQueue[TrialEvent] = queue.SimpleQueue()
        self.executor = LocalExecutor(setups, self.events.put)

    def next(self) -> TrialEvent:
        return self.events.get(timeout=60)


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots(setup(), setup())
    yield made
    made.executor.close()


def referees() -> list[psutil.Process]:
    """The slots' referees; whatever else runs below this process may end at any moment."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "evo.arena.worker" in child.cmdline():
                found.append(child)
    return found


def start_and_await(slots: Slots, log: Path) -> None:
    """A trial that sleeps, once it is under way."""
    slots.executor.submit(7, "print('here', flush=True)\n" + SLEEP, 0, str(log))
    while not (log.exists() and "here" in log.read_text()):
        time.sleep(0.02)


def test_as_many_trials_run_as_there_are_slots_and_each_answers_with_its_id(slots: Slots) -> None:
    assert slots.executor.free_slots == 2
    slots.executor.submit(1, SCORE, 11, "")
    slots.executor.submit(2, SCORE, 22, "")
    assert slots.executor.free_slots == 0
    with pytest.raises(ArenaError, match="no slot is free"):
        slots.executor.submit(3, SCORE, 33, "")
    found = {}
    for _ in range(2):
        event = slots.next()
        assert isinstance(event, TrialMeasured)
        found[event.trial] = event.measurement.score
        assert event.measurement.sandbox in {str(tier) for tier in TRIED}
    assert found == {1: 11.0, 2: 22.0}
    assert slots.executor.free_slots == 2


def test_a_slot_keeps_its_referee_for_the_next_trial(slots: Slots) -> None:
    pids = set()
    for number in range(2):
        slots.executor.submit(number, SCORE, number, "")
        slots.next()
        pids |= {referee.pid for referee in referees()}
    assert len(pids) == 1


def test_a_variant_that_crashes_is_measured_as_crashed_and_not_lost(slots: Slots) -> None:
    slots.executor.submit(1, "raise ValueError('no')", 0, "")
    event = slots.next()
    assert isinstance(event, TrialMeasured)
    assert event.measurement.status is Status.CRASHED


def test_what_a_trial_printed_is_in_its_log(slots: Slots, tmp_path: Path) -> None:
    slots.executor.submit(1, SCORE, 5, str(tmp_path / "log.txt"))
    slots.next()
    assert (tmp_path / "log.txt").read_text() == "score: 5\n"


def test_a_trial_that_is_given_up_is_lost_and_its_slot_is_free(
    slots: Slots, tmp_path: Path
) -> None:
    start_and_await(slots, tmp_path / "log.txt")
    slots.executor.abort(7)
    event = slots.next()
    assert isinstance(event, TrialLost)
    assert event.trial == 7
    slots.executor.submit(8, SCORE, 3, "")
    assert isinstance(slots.next(), TrialMeasured)


def test_a_referee_that_is_killed_loses_its_trial_and_the_slot_goes_on(
    slots: Slots, tmp_path: Path
) -> None:
    start_and_await(slots, tmp_path / "log.txt")
    [referee] = referees()
    below = referee.children(recursive=True)
    referee.kill()
    event = slots.next()
    assert isinstance(event, TrialLost)
    assert "the referee's process ended" in event.cause
    assert psutil.wait_procs(below, timeout=20)[1] == []
    slots.executor.submit(8, SCORE, 3, "")
    assert isinstance(slots.next(), TrialMeasured)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="writes into its pipe by /proc")
def test_a_referee_that_makes_no_sense_loses_its_trial_and_the_slot_goes_on(
    slots: Slots, tmp_path: Path
) -> None:
    start_and_await(slots, tmp_path / "log.txt")
    referee = slots.executor._slots[0].referee
    assert referee is not None and referee._process.stdout is not None
    Path(f"/proc/self/fd/{referee._process.stdout.fileno()}").write_bytes(b"nonsense\n")
    event = slots.next()
    assert isinstance(event, TrialLost)
    assert "the referee's process ended" in event.cause
    slots.executor.submit(8, SCORE, 3, "")
    assert isinstance(slots.next(), TrialMeasured)


def test_a_referee_that_can_not_begin_says_why_once_for_each_trial() -> None:
    slots = Slots(setup(pattern="no group"))
    try:
        for number in range(4):
            slots.executor.submit(number, SCORE, 0, "")
            event = slots.next()
            assert isinstance(event, TrialLost)
            assert event.trial == number
            assert "a pattern with a group for the score" in event.cause
        assert slots.events.empty()
    finally:
        slots.executor.close()


class Overtaken:
    """A lock before which something else gets its turn, once: when another thread wants it."""

    def __init__(self, first: Callable[[], None]) -> None:
        self._lock, self._thread = threading.Lock(), threading.current_thread()
        self._first: Callable[[], None] | None = first

    def __enter__(self) -> None:
        if self._first is not None and threading.current_thread() is not self._thread:
            first, self._first = self._first, None
            first()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_trial_that_is_given_to_a_referee_just_as_it_dies_is_lost_and_not_forgotten() -> None:
    slots = Slots(setup())
    try:
        slots.executor.submit(6, SCORE, 1, "")
        slots.next()
        overtaken = Overtaken(lambda: slots.executor.submit(7, SCORE, 2, ""))
        slots.executor._lock = overtaken  # type: ignore[assignment]
        [referee] = referees()
        referee.kill()
        event = slots.next()
        assert isinstance(event, TrialLost)
        assert (event.trial, slots.executor.free_slots) == (7, 1)
        slots.executor.submit(8, SCORE, 3, "")
        assert isinstance(slots.next(), TrialMeasured)
    finally:
        slots.executor.close()


def test_a_closed_executor_leaves_no_process(slots: Slots, tmp_path: Path) -> None:
    start_and_await(slots, tmp_path / "log.txt")
    family = [one for each in referees() for one in (each, *each.children(recursive=True))]
    assert len(family) >= 2
    slots.executor.close()
    assert psutil.wait_procs(family, timeout=20)[1] == []
