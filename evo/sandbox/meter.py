"""What the processes of a cell use: CPU seconds, memory, and how many they are."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SURVEY_SECONDS = 0.5
"""Looking for descendants walks the whole process table, so it is done only so often."""

ROUNDED_SECONDS = 4 / os.sysconf("SC_CLK_TCK")
"""Of each process: four times, its own and its buried children's, are told in whole ticks."""


@dataclass(slots=True)
class Meter:
    """Measures the processes of a cell.

    Args:
        pid: The root of the tree, and of a session.
        depth: How far below the root the candidate's own process is: what stands between the two
            only waits.
    """

    pid: int
    depth: int = 0
    peak_memory_mb: float = 0.0
    processes: int = 1
    _root: psutil.Process = field(init=False)
    _candidate: psutil.Process | None = None
    _members: list[psutil.Process] = field(init=False)
    _cpu_seconds: float = 0.0
    _next_survey: float = 0.0

    def __post_init__(self) -> None:
        self._root = psutil.Process(self.pid)
        self._members = [self._root]

    def cpu_seconds(self) -> float:
        """CPU seconds so far of all processes, also of those that have ended.

        Who ends leaves them to whoever buries it: its parent, or the first process of its
        namespace. The filter of system calls lets nobody be buried without that.
        """
        members = self._members
        # Parents come first: who is buried in between is missed once, and never counted twice.
        while len(left := _still_there(members)) < len(members):
            members = list(left)
        self._cpu_seconds = max(self._cpu_seconds, sum(left.values()))
        return self._cpu_seconds

    def most_cpu_seconds(self) -> float:
        """The same, with what may be hidden from it: times are rounded down for each process, so
        who has many of them do a little each would be told to have done nothing.
        """
        return self.cpu_seconds() + max(0, self.processes - 1) * ROUNDED_SECONDS

    def survey(self, *, at_once: bool = False) -> bool:
        """Looks for processes and counts memory, at most twice a second; whether it did."""
        now = time.monotonic()
        if now < self._next_survey and not at_once:
            return False
        self._next_survey = now + SURVEY_SECONDS
        memory, count, files = 0.0, 0, dict[int, int]()
        try:
            candidate, family = self._find_candidate(), self._family()
        except psutil.Error:
            return False
        self._members = family
        waiting = self._between(family, candidate)
        for process in family:
            if process in waiting:
                continue
            try:
                place = living(process.pid)
                memory += (_resident(place) or process.memory_info().rss) / 2**20
                files |= _unnamed_files(place)
                count += 1
            except psutil.Error:
                continue
        self.processes = count
        self.peak_memory_mb = max(self.peak_memory_mb, memory + sum(files.values()) / 2**20)
        return True

    def candidate_pid(self) -> int | None:
        """The candidate's own process; None while it is still being started.

        Raises:
            psutil.Error: It is gone.
        """
        pid = self._find_candidate().pid
        return pid if pid != self.pid or not self.depth else None

    def _find_candidate(self) -> psutil.Process:
        if self._candidate is None:
            found = self._root
            for _ in range(self.depth):
                children = found.children()
                if not children:
                    return self._root  # it is still being started
                found = children[0]
            self._candidate = found
        return self._candidate

    def _family(self) -> list[psutil.Process]:
        """The tree, parents first, and those of its session whose parents have gone."""
        found = dict.fromkeys([self._root, *self._root.children(recursive=True)])
        for pid in psutil.pids():
            try:
                if os.getsid(pid) == self.pid:
                    found[psutil.Process(pid)] = None
            except (psutil.Error, OSError):
                continue
        return list(found)

    def _between(
        self, family: list[psutil.Process], candidate: psutil.Process
    ) -> set[psutil.Process]:
        """The root and what leads from it to the candidate."""
        found, by_pid = set[psutil.Process](), {process.pid: process for process in family}
        try:
            above = candidate.ppid() if candidate != self._root else 0
            while above in by_pid:
                found.add(by_pid[above])
                above = by_pid[above].ppid() if above != self.pid else 0
        except psutil.Error:
            pass
        return found


def _still_there(processes: list[psutil.Process]) -> dict[psutil.Process, float]:
    """CPU seconds of those that aren't buried yet: their own, and of those that they buried."""
    found = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found[process] = float(sum(process.cpu_times()[:4]))
    return found


def living(pid: int) -> str:
    """Where /proc tells of a process: at the first of its threads that lives. The very first may
    have ended while others go on, and then nothing is told of what they share."""
    with contextlib.suppress(OSError):
        for thread in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda one: int(one.name)):
            if _resident(str(thread)):
                return str(thread)
    return f"/proc/{pid}"


def _resident(place: str) -> int:
    """Bytes in memory; 0 of who has ended."""
    try:
        return int(Path(place, "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _unnamed_files(place: str) -> dict[int, int]:
    """Bytes by inode of the files in memory that a process holds open: written but not mapped,
    they are in nobody's resident set (memfd_create(2))."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in Path(place, "fd").iterdir():
            if str(entry.readlink()).startswith("/memfd:"):
                status = entry.stat()
                found[status.st_ino] = status.st_blocks * 512
    return found
