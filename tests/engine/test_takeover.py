"""What a second engine takes over from one that was cut short."""

from pathlib import Path

import pytest

from evo.engine.heartbeat import Phase
from evo.engine.trials import StopError, Trials
from evo.executors.executor import TrialLost
from evo.nouns import Purpose
from tests.engine.test_trials import Hand, trials_of
from tests.projects import assembled, make_project, rows


class PowerCutError(Exception):
    """Nothing after it was done."""


def test_a_variant_whose_first_trial_was_never_queued_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, queue = make_project(tmp_path), Trials.queue

    def cut(self: Trials, variant: int, purpose: Purpose, *, front: bool = False) -> None:
        if variant == 2:
            raise PowerCutError
        queue(self, variant, purpose, front=front)

    with monkeypatch.context() as patched:
        patched.setattr(Trials, "queue", cut)
        with pytest.raises(PowerCutError):
            assembled(project, trials=6).run()
    assert rows(project, "SELECT count(*) FROM variants WHERE id = 2") == [(1,)]
    assert rows(project, "SELECT count(*) FROM trials WHERE variant = 2") == [(0,)]
    assert assembled(project, trials=6).run() is Phase.STOPPED
    found = rows(project, "SELECT count(*) FROM trials WHERE variant = 2 AND purpose = 'first'")
    assert found == [(1,)]
    assert assembled(project, trials=1).run() is Phase.STOPPED
    again = rows(project, "SELECT count(*) FROM trials WHERE variant = 2 AND purpose = 'first'")
    assert again == [(1,)], "once"


def test_what_a_broken_host_has_lost_is_run_by_the_next_engine_as_if_for_the_first_time(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path)
    assert assembled(project, trials=6).run() is Phase.STOPPED
    engine, ended = assembled(project), list[bool]()
    engine._open()
    trials = trials_of(engine, Hand())
    for variant in (1, 2):
        trials.queue(variant, Purpose.FIRST)
    with pytest.raises(StopError, match="they are still queued"):
        while True:
            trials.start()
            [number] = engine._running
            ended.append(trials.lose(TrialLost(number, "there is no room")))
    engine._close()
    assert ended == [False, False, False, False, True]
    last = (
        "SELECT variant, status, attempt, count(*) OVER (PARTITION BY variant) FROM trials "
        "WHERE variant IN (1, 2) AND purpose = 'first' "
        "QUALIFY row_number() OVER (PARTITION BY variant ORDER BY id DESC) = 1 ORDER BY variant"
    )
    assert rows(project, last) == [(1, "infrastructure", 3, 2), (2, "running", 3, 2)]
    for _ in range(2):
        assert assembled(project, trials=8).run() is Phase.STOPPED
        assert rows(project, last) == [(1, "scored", 1, 3), (2, "scored", 1, 2)]
