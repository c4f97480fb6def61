"""Trials: queued, run by an executor that a test has in its hand, and what becomes of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from evo.engine.engine import Engine
from evo.engine.heartbeat import Phase
from evo.engine.trials import StopError, Trials
from evo.errors import ArenaError
from evo.executors.executor import TrialLost, TrialProgress
from evo.nouns import CurvePoint, Measurement, Purpose, Status, Trial
from evo.search.evolution import Evolution
from evo.search.rivals import STRATEGIES
from tests.projects import assembled, make_project


class Doubter(Evolution):
    """Gives up whoever has lost ground, and says so."""

    def hopeless(self, trial: Trial, curve: Sequence[CurvePoint]) -> str:
        return "it lost ground" if curve[-1].loss > curve[0].loss else ""


class Hand:
    """An executor with room for two; what runs in it ends when the test says so."""

    def __init__(self) -> None:
        self.free_slots = 2
        self.refusals = 0
        """Times that it can't start a trial before it can."""
        self.started: list[int] = []
        self.aborted: list[int] = []

    def submit(self, trial: int, source: str, seed: int, log: str, **_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ArenaError("a referee can't be started: there is no memory")
        self.started.append(trial)

    def abort(self, trial: int) -> None:
        self.aborted.append(trial)

    def close(self) -> None: ...


def heard(trial: int, *losses: float) -> list[TrialProgress]:
    return [
        TrialProgress(trial, CurvePoint(float(step), step, loss))
        for step, loss in enumerate(losses)
    ]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A search that has begun, resumed in this process."""
    monkeypatch.setitem(STRATEGIES, "population", Doubter)
    project = make_project(tmp_path, slots=2)
    assert assembled(project, trials=3).run() is Phase.STOPPED
    engine = assembled(project)
    engine._open()
    yield engine
    engine._close()


def trials_of(engine: Engine, hand: Hand) -> Trials:
    return Trials(
        engine._rooms,
        hand,
        engine._bulletin,
        engine._counts,
        engine._limits,
        engine._running,
        engine._utc,
    )


def test_a_trial_that_the_search_calls_hopeless_is_pruned_with_its_curve(engine: Engine) -> None:
    hand = Hand()
    trials = trials_of(engine, hand)
    trials.queue(1, Purpose.FIRST)
    trials.queue(1, Purpose.FIRST)
    trials.start()
    doubted, trusted = hand.started
    for event in [*heard(trusted, 3.0, 2.9), *heard(doubted, 3.0, 2.9, 3.2, 3.3)]:
        trials.hear(event)
    assert hand.aborted == [doubted], "once"
    assert trials.lose(TrialLost(doubted, "it was aborted"))
    assert trials.measured(trusted, Measurement(Status.SCORED, score=1.0))
    known = {record.id: record for record in engine._rooms.archive.history()
             if isinstance(record, Trial)}  # fmt: skip
    ended = known[doubted].measurement
    assert ended is not None
    assert (ended.status, ended.cause, ended.score) == (Status.PRUNED, "it lost ground", None)
    assert [point.loss for point in ended.curve] == [3.0, 2.9, 3.2]
    assert known[trusted].score == 1.0


def test_words_of_a_trial_that_nobody_waits_for_are_passed_over(engine: Engine) -> None:
    trials = trials_of(engine, Hand())
    trials.hear(heard(99, 1.0)[0])
    assert not trials.measured(99, Measurement(Status.SCORED, score=1.0))
    assert not trials.lose(TrialLost(99, "gone"))


def test_a_trial_that_was_lost_waits_behind_the_others(engine: Engine) -> None:
    hand = Hand()
    trials = trials_of(engine, hand)
    for _ in range(4):
        trials.queue(1, Purpose.FIRST)
    trials.start()
    lost, other = hand.started
    assert not trials.lose(TrialLost(lost, "the machine has no memory left"))
    assert trials.measured(other, Measurement(Status.SCORED, score=1.0))
    trials.start()
    assert lost not in hand.started[2:]
    for number in hand.started[2:]:
        assert trials.measured(number, Measurement(Status.SCORED, score=1.0))
    trials.start()
    assert hand.started[4:] == [lost]


def test_a_trial_that_can_not_be_started_is_tried_again_and_too_many_stop_the_engine(
    engine: Engine,
) -> None:
    hand = Hand()
    trials, hand.refusals = trials_of(engine, hand), 2
    trials.queue(1, Purpose.FIRST)
    for _ in range(3):
        trials.start()
    [number] = hand.started
    assert engine._running[number].trial.attempt == 3
    assert trials.measured(number, Measurement(Status.SCORED, score=1.0))

    hand.refusals = 99
    trials.queue(1, Purpose.FIRST)
    trials.queue(1, Purpose.FIRST)
    with pytest.raises(StopError, match="there is no memory; mend that and start again"):
        for _ in range(6):
            trials.start()
    assert not engine._running
