"""What the processes of a cell use: CPU seconds, memory, and how many they are."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psutil

SURVEY_SECONDS = 0.5
"""Looking for descendants walks the whole process table, so it is done only so often."""


@dataclass(slots=True)
class Meter:
    """Measures one process and its descendants.

    Args:
        pid: The root of the tree.
    """

    pid: int
    peak_memory_mb: float = 0.0
    processes: int = 1
    _root: psutil.Process = field(init=False)
    _descendants_cpu_seconds: float = 0.0
    _cpu_seconds: float = 0.0
    _next_survey: float = 0.0

    def __post_init__(self) -> None:
        self._root = psutil.Process(self.pid)

    def cpu_seconds(self) -> float:
        """CPU seconds of the tree so far; a process that has ended keeps the last known value."""
        try:
            times = self._root.cpu_times()
        except psutil.Error:
            return self._cpu_seconds
        # Children that were waited for are in the root's own count already.
        own = times.user + times.system + times.children_user + times.children_system
        self._cpu_seconds = max(self._cpu_seconds, own + self._descendants_cpu_seconds)
        return self._cpu_seconds

    def survey(self, *, now: float | None = None) -> None:
        """Counts the tree's processes and memory, at most twice a second."""
        now = time.monotonic() if now is None else now
        if now < self._next_survey:
            return
        self._next_survey = now + SURVEY_SECONDS
        cpu, memory, count = 0.0, 0.0, 0
        try:
            family = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return
        for process in family:
            try:
                with process.oneshot():
                    memory += process.memory_info().rss / 2**20
                    times = process.cpu_times()
                if process != self._root:
                    cpu += times.user + times.system
                count += 1
            except psutil.Error:
                continue
        self.processes = count
        self._descendants_cpu_seconds = cpu
        self.peak_memory_mb = max(self.peak_memory_mb, memory)
