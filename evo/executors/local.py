"""Trials on this machine: a referee's process for each slot."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from evo.arena.compiled import Kept
from evo.arena.referee_process import RefereeProcess
from evo.arena.worker import Answer, Failed, Measure, Measured, Progress, Setup
from evo.corpus.corpus import Split
from evo.errors import ArenaError
from evo.executors.executor import OnEvent, TrialLost, TrialMeasured, TrialProgress


@dataclass(slots=True)
class _Slot:
    setup: Setup
    trial: int | None = None
    referee: RefereeProcess | None = None
    referees_ended: int = 0
    """What an answer of a referee that is no longer this slot's is told by."""


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
        compiled: Kept | None = None,
    ) -> None:
        with self._lock:
            slot = next((slot for slot in self._slots if slot.trial is None), None)
            if slot is None:
                raise ArenaError("no slot is free")
            slot.trial = trial
            referee = slot.referee
        if referee is None:
            try:
                referee = self._start_referee(slot)
            except ArenaError:
                with self._lock:
                    slot.trial = None
                raise
        referee.request(Measure(trial, source, seed, log, deep, split, compiled))

    def abort(self, trial: int) -> None:
        with self._lock:
            referees = [slot.referee for slot in self._slots if slot.trial == trial]
        for referee in referees:
            if referee is not None:
                referee.abort(trial)

    def close(self) -> None:
        with self._lock:
            referees = [slot.referee for slot in self._slots if slot.referee is not None]
        closers = [threading.Thread(target=referee.close) for referee in referees]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()

    def _start_referee(self, slot: _Slot) -> RefereeProcess:
        number = slot.referees_ended
        referee = RefereeProcess(slot.setup, lambda answer: self._take(slot, number, answer))
        with self._lock:
            if slot.referees_ended == number:  # else it couldn't begin, and has told so already
                slot.referee = referee
        return referee

    def _take(self, slot: _Slot, number: int, answer: Answer) -> None:
        """Passes on what a slot's referee says.

        Args:
            slot: Whose trial it is about.
            number: How many referees of the slot had ended when this one was started.
            answer: What it says.
        """
        with self._lock:
            if slot.referees_ended != number:
                return
            trial = slot.trial
            if not isinstance(answer, Progress):
                slot.trial = None
            if isinstance(answer, Failed) and answer.last:
                slot.referee = None  # a fresh one is started for the next trial
                slot.referees_ended += 1
        if trial is None:
            return
        if isinstance(answer, Progress):
            self._on_event(TrialProgress(trial, answer.point))
        elif isinstance(answer, Measured):
            self._on_event(TrialMeasured(trial, answer.measurement))
        elif isinstance(answer, Failed):
            self._on_event(TrialLost(trial, answer.cause))
