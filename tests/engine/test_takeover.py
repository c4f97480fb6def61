"""What a second engine takes over from one that was cut short."""

from pathlib import Path

import pytest

from evo.engine.heartbeat import Phase
from evo.engine.trials import Trials
from evo.nouns import Purpose
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
