"""Who we are on this machine, and who a cell becomes."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID, SYS_ADMIN = 1, 2, 6, 7, 21
"""Numbers of capabilities, from linux/capability.h."""
_FIRST_USER = 1 << 28
"""Above every user that a machine gives away, below 2^31."""
_CELLS_AT_A_TIME = 64
_numbers = itertools.count()


def may(*capabilities: int) -> bool:
    """Whether this process has all of these capabilities."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return False
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return all(held >> one & 1 for one in capabilities)


def is_root() -> bool:
    return os.geteuid() == 0


def next_user() -> int:
    """A user and group for one cell that nobody else has; -1 for an ordinary user, whose cells
    stay who they are.

    Its number is made of this process's, so that referees needn't agree. Where only few users are
    known (in many containers) it may meet another cell's by chance; 0 where there is nobody but
    root, who then loses every capability.
    """
    if not is_root():
        return -1
    known = _last_user()
    if known < 1 or not may(SETUID, SETGID):
        return 0
    number = os.getpid() * _CELLS_AT_A_TIME + next(_numbers) % _CELLS_AT_A_TIME
    if known >= _FIRST_USER * 2:
        return _FIRST_USER + number % _FIRST_USER
    return known - number % max(known // 2, 1)


def tasks_of_this_user() -> int:
    """Processes and threads of this user, on which the kernel's limit is counted."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == os.geteuid():
                count += sum(1 for _ in (process / "task").iterdir())
    return count


def _last_user() -> int:
    """The highest user number of this namespace."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return 0
    ranges = [[int(word) for word in line.split()] for line in lines]
    return max((first + count - 1 for first, _, count in ranges), default=0)
