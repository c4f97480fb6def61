"""What a cell's first program is told: the walls to raise around itself before it becomes the
candidate's process.

It travels as `marshal` bytes in an unlinked file, not on the command line, where everybody could
read it.
"""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NotRequired, TypedDict

from evo.sandbox import identity
from evo.sandbox.reach import Reach, hidden_from_others

PRIVATE_SCRATCH = "/cell"
"""Where a cell that has a file system of its own may write."""
PRIVATE_HOME = "/cell/home"
"""The scratch folder in there."""
Mount = tuple[str, str, str]
COUNTERS = (
    "/proc/vmstat", "/proc/zoneinfo", "/proc/buddyinfo", "/proc/diskstats", "/proc/interrupts",
    "/proc/softirqs", "/proc/schedstat", "/proc/key-users", "/proc/locks", "/proc/pressure/cpu",
    "/proc/pressure/io", "/proc/pressure/irq", "/proc/pressure/memory", "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/file-nr", "/proc/sys/fs/inode-nr", "/proc/sys/fs/inode-state",
)  # fmt: skip
"""Numbers of the whole machine that a cell could move, for a later one to read."""
COUNTING = ("/proc/fs/**/*", "/sys/devices/system/node/node*/numastat",
            "/sys/devices/system/node/node*/vmstat")  # fmt: skip
"""Patterns of more of these: of file systems, and of each part of the memory."""


class Tier(StrEnum):
    """How strong the walls of a cell are, the strongest first."""

    BUBBLEWRAP = "bubblewrap"
    """Namespaces and a file system of its own, made by bubblewrap."""
    NAMESPACES = "namespaces"
    """The same, made by evo itself."""
    LANDLOCK = "landlock"
    """The machine's file system and processes are in view, and the kernel says what is allowed:
    all that works inside a container without privileges."""
    OPEN = "open"
    """No walls: a clean environment, limits, and an end."""

    @property
    def private(self) -> bool:
        """Whether a cell has namespaces and a file system of its own."""
        return self in (Tier.BUBBLEWRAP, Tier.NAMESPACES)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cell may use; crossing a limit ends it, or what it asks for is refused."""

    memory_mb: int
    file_mb: int = 1024
    """Largest file that may be written."""
    open_files: int = 1024
    log_bytes: int = 256 * 1024
    """How much of what it prints is kept: the beginning and the end."""
    scratch_mb: int = 1024
    """Most that its scratch folder may hold."""
    tasks: int = 512
    """Most processes and threads; libraries start a thread for each of many cores."""


class Plan(TypedDict):
    """Read by `evo.sandbox.launch`, which imports next to nothing, not even this."""

    command: list[str]
    streams: list[int]
    """Descriptors that become standard input and output."""
    lifeline: int
    """Descriptor of a pipe that ends when the referee does."""
    home: str
    """The scratch folder as the cell sees it: where it starts, and may write."""
    files: list[tuple[str, int]]
    """Names in the scratch folder, and descriptors of what they are to hold."""
    merge_output: bool
    user: int
    """User and group to become; -1 to stay who we are."""
    capability: int
    """Kept so that Python can be read past the modes of its files, which only root may pass where
    root's Python is (Landlock still decides what is read); -1 for none."""
    limits: list[tuple[int, int]]
    """Kinds and values for setrlimit."""
    groups: list[int]
    """Descriptors of the control groups' lists of processes."""
    readable: list[str]
    writable: list[str]
    devices: list[str]
    writes_own_process: bool
    """Whether a cell may write below /proc/self: CUDA names its threads there."""
    landlock: bool
    must_filter: bool
    """Whether a kernel that doesn't take the filter of system calls ends the launch."""
    unix: bool
    shared: bool
    """The machine's own files and processes are in view."""
    mounts: list[Mount] | None
    """For own namespaces: kind, source and target of everything that a cell sees; None where
    another program has made them, or where there are none."""
    new_user: bool
    """Namespaces are made without root, by way of a user namespace."""
    network: NotRequired[bool]
    """The machine's network may be used; trials have no such entry."""


def draw(
    tier: Tier,
    reach: Reach,
    limits: Limits,
    command: Sequence[str],
    home: str,
    *,
    gpu: bool,
    network: bool = False,
) -> Plan:
    """A plan without its descriptors."""
    user = identity.next_user()
    as_root = mounts_as_root()
    if tier.private and not as_root:
        user = -1  # a user namespace has nobody else
    facts = () if tier.private else reach.facts
    writable = [PRIVATE_SCRATCH] if tier.private else [home]
    drawn = Plan(
        command=list(command),
        streams=[],
        lifeline=-1,
        home=home,
        files=[],
        merge_output=False,
        user=user,
        capability=_capability(tier, reach) if user > 0 else -1,
        limits=_limits(tier, limits, gpu=gpu, counted_alone=user > 0 or tier.private),
        groups=[],
        readable=[*reach.readable, *facts],
        writable=writable,
        devices=list(reach.devices),
        writes_own_process=gpu,
        landlock=tier is not Tier.OPEN,
        must_filter=tier is not Tier.OPEN,
        # Names of AF_UNIX lead as far as the network does.
        unix=(tier.private or gpu) and not network,
        shared=not tier.private,
        mounts=mounts(reach, limits) if tier.private else None,
        new_user=not as_root,
    )
    if network:
        drawn["network"] = True
    return drawn


def mounts_as_root() -> bool:
    """Whether this process may make mounts and become somebody else without a user namespace."""
    return (
        identity.is_root()
        and identity.may(identity.SYS_ADMIN, identity.SETUID, identity.SETGID)
        and identity.next_user() > 0
    )


def mounts(reach: Reach, limits: Limits) -> list[Mount]:
    """The whole file system of a cell."""
    made: list[Mount] = [("scratch", str(limits.scratch_mb), PRIVATE_SCRATCH)]
    made += [("folder", "", PRIVATE_HOME), ("folder", "", "/cell/shm")]
    if not any(path == "/tmp" or path.startswith("/tmp/") for path in reach.readable):
        made.append(("link", PRIVATE_HOME, "/tmp"))
    for path in reach.readable:
        if Path(path).is_symlink():
            made.append(("link", str(Path(path).readlink()), path))
        else:
            made.append(("read", path, path))
    made.append(("processes", "", "/proc"))
    made += [("read", "/dev/null", path) for path in _counters(reach)]
    made += [("device", path, path) for path in reach.devices]
    made += [("link", "/cell/shm", "/dev/shm"), ("link", "/proc/self/fd", "/dev/fd")]
    streams = ("stdin", "stdout", "stderr")
    made += [("link", f"/proc/self/fd/{n}", f"/dev/{name}") for n, name in enumerate(streams)]
    return made


def _counters(reach: Reach) -> list[str]:
    """Files to be covered up: of those below /sys only what a cell would see, and of those below
    /proc only what is there in its own, too, where nothing else is mounted."""
    found = [path for path in COUNTERS if Path(path).exists()]
    processes = Path("/proc").stat().st_dev
    for pattern in COUNTING:
        for path in sorted(Path("/").glob(pattern[1:])):
            if path.is_relative_to("/proc"):
                seen = path.lstat().st_dev == processes
            else:
                seen = any(map(path.is_relative_to, reach.readable))
            if seen and path.is_file() and not path.is_symlink():
                found.append(str(path))
    return found


def _limits(tier: Tier, limits: Limits, *, gpu: bool, counted_alone: bool) -> list[tuple[int, int]]:
    tasks = limits.tasks + (0 if counted_alone else identity.tasks_of_this_user())
    found = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits.file_mb << 20),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, tasks),
    ]
    # CUDA reserves and maps far more than it uses, so there the watchdog alone counts memory.
    if not gpu:
        found.append((resource.RLIMIT_DATA, limits.memory_mb << 20))
    return found


def _capability(tier: Tier, reach: Reach) -> int:
    if not hidden_from_others(reach.readable, below=tier.private):
        return -1
    for one in (identity.DAC_READ_SEARCH, identity.DAC_OVERRIDE):
        if identity.may(one):
            return one
    return -1
