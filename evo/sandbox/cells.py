"""A started cell, and its certain end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from evo.sandbox import scratch
from evo.sandbox.cgroups import Cage
from evo.sandbox.log import END_SECONDS, Log
from evo.sandbox.meter import Meter, living
from evo.sandbox.plan import PRIVATE_SCRATCH, Limits, Tier

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class Cell:
    """A started process that will run one job, its pipes, and the scratch folder it lives in."""

    process: subprocess.Popen[bytes]
    tier: Tier
    log: Log
    inbound: int
    """We write here: the cell's standard input."""
    outbound: int
    """We read here: the cell's standard output."""
    lifeline: int
    """The cell ends when this is closed, however that comes about."""
    limits: Limits
    scratch: Path | None
    """On the machine's file system; None where it is in memory and the cell's own."""
    cage: Cage
    meter: Meter = field(init=False)
    _ended: bool = False

    def __post_init__(self) -> None:
        _cells.add(self.process.pid)
        # The candidate is the child of a guard, or of its namespace's first process.
        depth = 2 if self.tier.private else int(hasattr(os, "pidfd_open"))
        self.meter = Meter(self.process.pid, depth=depth)

    def poll(self) -> int | None:
        """How the candidate ended, as `Popen.returncode` says it; None while it runs."""
        return _status(self.process.poll())

    def wait(self, timeout_seconds: float) -> int | None:
        """The same, waiting a while for it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout_seconds)
        return self.poll()

    def excess(self) -> str:
        """Which limit it has crossed that isn't one of memory or processes; empty if none."""
        if self.scratch is not None:
            return scratch.excess(self.scratch, self.limits.scratch_mb)
        try:
            pid = self.meter.candidate_pid()
            return scratch.excess_of_files(f"{living(pid)}/root{PRIVATE_SCRATCH}") if pid else ""
        except (psutil.Error, OSError):
            return ""  # it is gone

    def end(self, *, forget: bool = False) -> int | None:
        """Kills whatever is left of the tree and removes the scratch; the exit status if any.

        Safe to call more than once.

        Args:
            forget: Nothing of which files it looked at shall be left in the kernel's caches, where
                a control group knows that: for who has seen what later cells mustn't know.
        """
        if self._ended:
            return self.poll()
        self._ended = True
        status = self.poll()
        self.kill()
        self.log.close()
        for descriptor in (self.inbound, self.outbound, self.lifeline):
            os.close(descriptor)
        if forget:
            self.cage.forget()
        self.cage.remove()
        if self.scratch is not None:
            scratch.remove(self.scratch)
        return status

    def kill(self) -> None:
        """Ends the session's processes and all descendants, also those that left the session.

        A namespace's first process takes the others with it. Elsewhere orphans of the tree become
        our children (see `adopt_orphans`), so a daemon is found again. The pipes stay open:
        whoever writes to one is told that its reader is gone.
        """
        deadline = time.monotonic() + END_SECONDS
        strays = _descendants(self.process.pid)
        self.cage.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _cells.discard(self.process.pid)
        while time.monotonic() < deadline:
            strays = [stray for stray in strays if stray.is_running()] + _orphans()
            if not strays:
                return
            for stray in strays:
                with contextlib.suppress(psutil.Error):
                    stray.kill()
            psutil.wait_procs(strays, timeout=0.1)
            strays = [child for stray in strays for child in _descendants(stray.pid)]


def _status(code: int | None) -> int | None:
    """A shell's word for death by a signal, in Python's."""
    return code if code is None or code <= 128 else 128 - code


_cells: set[int] = set()
"""Process ids of this process's own children, which are not orphans."""


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _orphans() -> list[psutil.Process]:
    """Processes that were left to us by a cell's tree: ours by adoption, not by birth."""
    if not _adopting:
        return []
    return [child for child in psutil.Process().children() if child.pid not in _cells]


_adopting = False


def spare(pid: int) -> None:
    """Says of a child of ours that it is no cell's orphan."""
    _cells.add(pid)


def adopt_orphans() -> None:
    """Makes this process the parent of daemons that its cells leave behind, so that it can end
    them (Linux; elsewhere a process that leaves its session and its parent is lost).

    Only for a process that has no children but cells, and those that it `spare`s.
    """
    global _adopting
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        _adopting = libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
