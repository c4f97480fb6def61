"""Canaries: whether a tier keeps in on this machine what it is meant to keep in.

A cell of the tier is started on `evo.sandbox.canary`, with bait laid out; what it says is believed
only where it says that it failed, and what can be seen from outside is looked at there. An attempt
that didn't run counts as a hole.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evo.errors import ArenaError
from evo.sandbox.canary import NEEDED, attempts
from evo.sandbox.plan import Limits, Tier
from evo.sandbox.sandbox import Cell, TierSandbox

LIMITS = Limits(memory_mb=400, scratch_mb=16, file_mb=64, tasks=24)
MEMORY_MB, SCRATCH_MB, TASKS = 600, 32, 40
"""What canaries try to take: more than they are allowed."""
TIMEOUT_SECONDS = 60.0
DEATH_SECONDS = 1.0
_SEEN_OUTSIDE = ("send_by_udp",)
"""Attempts whose own word says nothing."""
_TOKEN = "EVO_CANARY"


@dataclass(frozen=True, slots=True)
class Bait:
    """What there is to be had outside of the cell."""

    folder: Path
    secret: Path
    victim: Path
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket
    abstract: socket.socket
    name: str
    """Of the abstract socket."""

    def described(self, tier: Tier) -> bytes:
        values = {
            "secret": str(self.secret),
            "folder": str(self.folder),
            "open_to_all": str(self.victim),
            "referee": str(os.getpid()),
            "private": "1" if tier.private else "",
            "tcp": str(self.tcp.getsockname()[1]),
            "udp": str(self.udp.getsockname()[1]),
            "unix": str(self.unix.getsockname()),
            "abstract": self.name,
            "memory_mb": str(MEMORY_MB),
            "scratch_mb": str(SCRATCH_MB),
            "tasks": str(TASKS),
        }
        return json.dumps(values).encode()

    def taken(self) -> list[str]:
        """What has been done to it, as seen from here."""
        found = []
        ears = {"tcp": self.tcp, "udp": self.udp, "unix": self.unix, "abstract": self.abstract}
        for name, ear in ears.items():
            if select.select([ear], [], [], 0)[0]:
                found.append(f"something came by {name}")
        if self.victim.read_text() != _TOKEN:
            found.append("a file outside was changed")
        if {path.name for path in self.folder.iterdir()} != {"secret", "victim", "ear"}:
            found.append("a file was written outside")
        return found


@contextlib.contextmanager
def bait() -> Iterator[Bait]:
    """Lays it out where anybody on this machine could take it."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="evo-bait-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        for name in ("secret", "victim"):
            (folder / name).write_text(_TOKEN)
            (folder / name).chmod(0o666)
        kinds = [
            (socket.AF_INET, socket.SOCK_STREAM),
            (socket.AF_INET, socket.SOCK_DGRAM),
            (socket.AF_UNIX, socket.SOCK_DGRAM),
            (socket.AF_UNIX, socket.SOCK_DGRAM),
        ]
        tcp, udp, unix, abstract = (stack.enter_context(socket.socket(*kind)) for kind in kinds)
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(folder / "ear"))
        (folder / "ear").chmod(0o777)
        name = folder.name
        abstract.bind(f"\0{name}")
        yield Bait(folder, folder / "secret", folder / "victim", tcp, udp, unix, abstract, name)


def holes(tier: Tier, gpu: str = "") -> list[str]:
    """What a tier doesn't keep in, or keeps from working; empty if it is good.

    Args:
        tier: Which.
        gpu: Index of the GPU that cells are given; empty for none.
    """
    with bait() as laid:
        os.environ[_TOKEN] = "1"  # bait, too
        try:
            cell = TierSandbox(tier).start(
                ("python", "-m", "evo.sandbox.canary"), limits=LIMITS, threads=1, gpu=gpu
            )
        except ArenaError as error:
            return [str(error)]
        finally:
            del os.environ[_TOKEN]
        try:
            said = _listen(cell, laid.described(tier))
            seen = _Seen(
                full=bool(cell.excess()),
                heavy=cell.meter.peak_memory_mb > LIMITS.memory_mb,
                killed=cell.wait(DEATH_SECONDS) == -signal.SIGKILL,
            )
            died = _all_die(cell)
        finally:
            cell.end()
        found = _judge(said, laid, seen)
        if not found and not died:
            found.append("a daemon outlived its cell")
        if found and found[0].endswith("didn't run"):
            words = [line for line in cell.log.tail().splitlines() if line.strip()]
            return [f"nothing runs in it: {words[-1].strip()}" if words else "nothing runs in it"]
        return found


def _listen(cell: Cell, request: bytes) -> list[str]:
    """What the canary says until it ends."""
    with contextlib.suppress(OSError):
        os.write(cell.inbound, request)
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), cell.inbound)
    said, deadline = bytearray(), time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline and len(said) < 1 << 20:
        cell.meter.survey()
        if select.select([cell.outbound], [], [], 0.02)[0]:
            data = os.read(cell.outbound, 1 << 16)
            if not data:
                break
            said += data
        elif cell.poll() is not None:
            break  # a daemon still holds the other end
    return said.decode("utf-8", "replace").splitlines()


def _all_die(cell: Cell) -> bool:
    """Whether nobody holds the cell's standard output a moment after its end."""
    watched = os.dup(cell.outbound)
    try:
        cell.kill()
        deadline = time.monotonic() + DEATH_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if select.select([watched], [], [], left)[0] and not os.read(watched, 1 << 16):
                return True
    finally:
        os.close(watched)
    return False


@dataclass(frozen=True, slots=True)
class _Seen:
    """What can be seen of a canary's cell from outside, and would end a trial."""

    full: bool
    """Its scratch holds too much."""
    heavy: bool
    """It holds too much memory."""
    killed: bool
    """It was killed before its end."""


def _caught(name: str, seen: _Seen) -> bool:
    return (name == "fill_the_scratch" and seen.full) or (name == "take_memory" and seen.heavy)


def _judge(said: list[str], laid: Bait, seen: _Seen) -> list[str]:
    words = {tuple(line.split(" ", 2)[:2]) for line in said}
    why = {line.split(" ", 1)[0]: line for line in said if " refused " in line}
    found = []
    for name in attempts():
        if name == "take_memory" and said[-1:] == ["take_memory ran"] and seen.killed:
            continue  # its control group ended it
        if (name, "ran") not in words or not words & {(name, "refused"), (name, "succeeded")}:
            found.append(f"{name} didn't run")
        elif name in NEEDED:
            if (name, "succeeded") not in words:
                found.append(why[name])
        elif (name, "succeeded") in words and _caught(name, seen):
            continue
        elif (name, "succeeded") in words and name not in _SEEN_OUTSIDE:
            found.append(name)
    if any(_TOKEN in line for line in said):
        found.append("a secret came out")
    return found + laid.taken()
