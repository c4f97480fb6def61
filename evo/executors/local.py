"""Trials on this machine: a referee's process for each slot."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from evo.arena.referee_process import RefereeProcess
from evo.arena.worker import Answer, Failed, Measure, Measured, Progress, Setup
from evo.corpus.corpus import Split
from evo.errors import ArenaError
from evo.executors.executor import OnEvent, TrialLost, TrialMeasured, TrialProgress


@dataclass(slots=True)
class _Slot:
    setup: Setup
    trial: int | None = None
    referee: RefereeProcess | None = field(default=None)


class LocalExecutor:
    """Runs each slot's trials in a referee's process of its own, started when first needed.

    Args:
        setups: What each slot's referee measures, and on which GPU.
        on_event: Called with every event, on threads of this executor.
    """

    def __init__(self, setups: Sequence[Setup], on_event: OnEvent) -> None:
        self._slots = [_Slot(setup) for setup in setups]
        self._on_event = on_event
        self._lock = threading.Lock()

    @property
    def free_slots(self) -> int:
        with self._lock:
            return sum(slot.trial is None for slot in self._slots)

    def submit(
        self,
        trial: int,
        source: str,
        seed: int,
        log: str,
        *,
        deep: bool = False,
        split: Split = Split.SEARCH,
    ) -> None:
        with self._lock:
            slot = next((slot for slot in self._slots if slot.trial is None), None)
            if slot is None:
                raise ArenaError("no slot is free")
            slot.trial = trial
            referee = slot.referee
        if referee is None:
            try:
                referee = RefereeProcess(slot.setup, lambda answer: self._take(slot, answer))
            except ArenaError:
                slot.trial = None
                raise
            with self._lock:
                # One that has ended has told so already, and would never answer again.
                slot.referee = None if referee.ended else referee
        referee.request(Measure(source, seed, log, deep, split))

    def abort(self, trial: int) -> None:
        with self._lock:
            running = [slot for slot in self._slots if slot.trial == trial]
        for slot in running:
            if slot.referee is not None:
                slot.referee.abort()

    def close(self) -> None:
        closers = [
            threading.Thread(target=slot.referee.close) for slot in self._slots if slot.referee
        ]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()

    def _take(self, slot: _Slot, answer: Answer) -> None:
        trial = slot.trial
        if isinstance(answer, Progress):
            if trial is not None:
                self._on_event(TrialProgress(trial, answer.point))
            return
        with self._lock:
            slot.trial = None
            if slot.referee is not None and slot.referee.ended:
                slot.referee = None  # a fresh one is started for the next trial
        if trial is None:
            return
        if isinstance(answer, Measured):
            self._on_event(TrialMeasured(trial, answer.measurement))
        elif isinstance(answer, Failed):
            self._on_event(TrialLost(trial, answer.cause))
