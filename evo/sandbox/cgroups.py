"""Control groups: a cap on the memory and the processes of a whole cell, where one can be had.

Both versions: https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html. A
cell's group is made below the group of this process or below one of its parents, whichever may be
written and has the controllers: as root, or where systemd has delegated them.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

CONTROLLERS = ("memory", "pids")
REMOVE_SECONDS = 1.0
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a mounted hierarchy in which groups with these controllers can be made."""

    folder: Path
    controllers: tuple[str, ...]
    version: int

    def make(self) -> Path:
        """An empty group.

        Raises:
            OSError: It can't be made.
        """
        group = self.folder / f"evo-cell-{os.getpid()}-{next(_numbers)}"
        group.mkdir()
        return group


@dataclass(slots=True)
class Cage:
    """The groups of one cell."""

    groups: list[Path] = field(default_factory=list)

    @classmethod
    def build(cls, memory_mb: int, processes: int) -> Cage:
        """Groups with these caps; an empty cage where none can be had."""
        cage = cls()
        try:
            for place in places():
                group = place.make()
                cage.groups.append(group)
                for name, value in _settings(place, group, memory_mb << 20, processes):
                    with contextlib.suppress(OSError):  # a kernel without swap accounting
                        (group / name).write_text(str(value))
        except OSError:
            cage.remove()
        return cage

    def open(self) -> list[int]:
        """Descriptors of the lists of processes: who writes `0` there joins the group."""
        return [
            os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for group in self.groups
        ]

    def kill(self) -> None:
        """Ends every process in it at once (version 2, from Linux 5.14 on)."""
        for group in self.groups:
            if (group / "cgroup.kill").exists():
                with contextlib.suppress(OSError):
                    (group / "cgroup.kill").write_text("1")

    def forget(self) -> None:
        """Has the kernel forget which files its processes read or looked for in vain.

        What a process brings into the page cache or the cache of names is charged to its group, so
        this takes nothing from anybody else. Its processes must be gone.
        """
        for group in self.groups:
            for name in ("memory.force_empty", "memory.high"):  # of version 1 and 2
                if (group / name).exists():
                    with contextlib.suppress(OSError):
                        (group / name).write_text("0")

    def remove(self) -> None:
        """Removes the groups; their last processes may need a moment to go."""
        deadline = time.monotonic() + REMOVE_SECONDS
        for group in self.groups:
            while group.exists():
                try:
                    group.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.005)
        self.groups.clear()


@functools.cache
def places() -> tuple[Place, ...]:
    """Where groups can be made, and be joined, by this process; together they have what they can
    of both controllers."""
    found: list[Place] = []
    for candidate in _candidates():
        taken = {one for other in found for one in other.controllers}
        given = tuple(one for one in candidate.controllers if one not in taken)
        place = replace(candidate, controllers=given)
        if given and _works(place):
            _sweep(place)
            found.append(place)
    return tuple(found)


def _sweep(place: Place) -> None:
    """Removes empty groups that referees have left that were killed."""
    for group in place.folder.glob("evo-cell-*"):
        with contextlib.suppress(OSError):
            if not Path(f"/proc/{group.name.split('-')[2]}").exists():
                group.rmdir()


def _candidates() -> Iterator[Place]:
    """This process's own groups in every mounted hierarchy, and the groups above them."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    paths = {
        name: path
        for number, names, path in (line.split(":", 2) for line in own)
        for name in (names.split(",") if number != "0" else ["unified"])
    }
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        _, _, _, root, folder = before.split()[:5]
        names = ["unified"] if kind == "cgroup2" else options.split(" ")[-1].split(",")
        path = next((paths[name] for name in names if name in paths), None)
        if kind not in ("cgroup", "cgroup2") or path is None:
            continue
        inside = Path(folder) / os.path.relpath(path, root)
        if kind == "cgroup":
            yield Place(inside, tuple(name for name in CONTROLLERS if name in names), 1)
            continue
        for above in (inside, *inside.parents):
            if above.is_relative_to(folder):
                yield Place(above, _handed_down(above), 2)


def _handed_down(folder: Path) -> tuple[str, ...]:
    """The controllers that a group made in this folder has, in version 2."""
    try:
        given = (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return ()
    return tuple(name for name in CONTROLLERS if name in given)


def _works(place: Place) -> bool:
    """Whether a group can be made here, and a process of ours can join it."""
    try:
        group = place.make()
    except OSError:
        return False
    try:
        path = group / "cgroup.procs"
        joined = subprocess.run(
            ["/bin/sh", "-c", 'echo 0 > "$1"', "sh", str(path)],
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    else:
        return joined.returncode == 0
    finally:
        Cage([group]).remove()


def _settings(place: Place, group: Path, memory: int, processes: int) -> Iterator[tuple[str, int]]:
    if "memory" in place.controllers and place.version == 2:
        yield "memory.max", memory
        yield "memory.swap.max", 0
        yield "memory.oom.group", 1
    elif "memory" in place.controllers:
        yield "memory.limit_in_bytes", memory
        yield "memory.memsw.limit_in_bytes", memory
    if "pids" in place.controllers:
        yield "pids.max", processes
