"""A referee's process, spoken to as an engine does: what it answers, and how it ends."""

import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from evo.arena.referee_process import RefereeProcess
from evo.arena.worker import Answer, Failed, Measure, Measured, Setup
from tests.executors.test_local import SCORE, SLEEP, setup

WORKER = [sys.executable, "-m", "evo.arena.worker"]


class Listener:
    """A referee's process, and what it has said."""

    def __init__(self, given: Setup) -> None:
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.process = RefereeProcess(given, self.answers.put)

    def next(self) -> Answer:
        return self.answers.get(timeout=60)


@pytest.fixture
def referee() -> Iterator[Listener]:
    made = Listener(setup())
    yield made
    made.process.close()


def test_giving_up_a_trial_that_is_over_leaves_the_next_one_alone(referee: Listener) -> None:
    referee.process.request(Measure(1, SCORE, 11, ""))
    assert isinstance(referee.next(), Measured)
    referee.process.abort(1)
    referee.process.request(Measure(2, SCORE, 22, ""))
    answer = referee.next()
    assert isinstance(answer, Measured), answer
    assert answer.measurement.score == 22.0


def test_only_the_trial_that_is_named_is_given_up_and_it_may_be_run_once_more(
    referee: Listener, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    referee.process.request(Measure(2, "print('here', flush=True)\n" + SLEEP, 0, str(log)))
    while not (log.exists() and "here" in log.read_text()):
        time.sleep(0.02)
    referee.process.abort(1)
    referee.process.abort(2)
    answer = referee.next()
    assert isinstance(answer, Failed)
    assert (answer.cause, answer.last) == ("the trial was stopped", False)
    referee.process.request(Measure(2, SCORE, 5, ""))
    assert isinstance(referee.next(), Measured)


def test_a_referee_that_can_not_begin_says_why_once_and_ends_in_peace() -> None:
    with subprocess.Popen(
        WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(msgspec.json.encode(setup(pattern="no group")) + b"\n")
        process.stdin.flush()  # and it stays open, as an engine keeps it
        said = process.stdout.read().splitlines()
        assert process.wait(60) == 0, process.stderr.read()
    [failed] = [msgspec.json.decode(line, type=Answer) for line in said]
    assert isinstance(failed, Failed)
    assert failed.last
    assert "a pattern with a group for the score" in failed.cause


def test_a_referee_ends_when_who_asks_dies_in_the_middle_of_a_line() -> None:
    line = msgspec.json.encode(Measure(1, SCORE, 0, ""))
    given = msgspec.json.encode(setup()) + b"\n" + line[: len(line) // 2]
    done = subprocess.run(WORKER, input=given, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
