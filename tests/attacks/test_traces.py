"""What a cell that has ended leaves in the kernel's caches, for another to read by its clock."""

import os
import random
from pathlib import Path

import pytest

from evo.sandbox.cgroups import places
from evo.sandbox.sandbox import Limits, Tier, TierSandbox

BITS = 1000
NAMES = """
import ctypes, os, time
access = ctypes.CDLL(None).access

def leave(number):
    access(f"/usr/lib/{salt}-{number}".encode(), 0)

def cost(number):
    before = time.perf_counter_ns()
    leave(number)
    return time.perf_counter_ns() - before
"""
"""A name that isn't there is remembered as missing."""
PAGES = """
import mmap, os, resource
file = mmap.mmap(os.open(place, os.O_RDONLY), 0, prot=mmap.PROT_READ)
file.madvise(mmap.MADV_RANDOM)

def leave(number):
    file[number << 15]

def cost(number):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    leave(number)
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before
"""
"""A page that is read stays in memory; eight apart, so that none comes with its neighbour."""
SENDER = """
for number, bit in enumerate(message):
    leave(2 * number + int(bit))
print("sent")
"""
RECEIVER = """
for number in range(len(message)):
    print("01"[cost(2 * number) > cost(2 * number + 1)], end="")
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A file of which nothing is in memory."""
    path = tmp_path / "pages"
    path.write_bytes(os.urandom(2 * BITS << 15))
    for folder in (tmp_path, path):
        folder.chmod(0o755)
    file = os.open(path, os.O_RDWR)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    return str(path)


def run(tier: Tier, script: str, place: str, *, forget: bool) -> str:
    cell = TierSandbox(tier, [place]).start(
        ["python", "attack.py"],
        limits=Limits(memory_mb=500),
        threads=1,
        files={"attack.py": script},
        merge_output=True,
    )
    cell.wait(60)
    cell.end(forget=forget)
    return cell.log.tail(1 << 16)


def received(tier: Tier, channel: str, place: str, *, forget: bool) -> float:
    """Share of the bits of a message that another cell reads rightly."""
    message = "".join(random.choices("01", k=BITS))
    given = f"salt, place, message = {random.random()}, {place!r}, "
    sender = f"{given} '{message}'\n{channel}{SENDER}"
    assert run(tier, sender, place, forget=forget).strip() == "sent"
    receiver = f"{given} '{'?' * BITS}'\n{channel}{RECEIVER}"
    answer = run(tier, receiver, place, forget=False)
    assert len(answer) == BITS, answer
    return sum(one == other for one, other in zip(answer, message, strict=True)) / BITS


@pytest.mark.skipif(
    not any("memory" in one.controllers for one in places()),
    reason="no control group with memory can be made here: the channel is open",
)
@pytest.mark.parametrize("channel", [NAMES, PAGES], ids=["names", "pages"])
def test_a_cell_leaves_no_trace_where_a_control_group_knows_it(
    tier: Tier, channel: str, place: str
) -> None:
    assert received(tier, channel, place, forget=True) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("channel", [NAMES, PAGES], ids=["names", "pages"])
def test_otherwise_what_it_looked_at_can_be_told(tier: Tier, channel: str, place: str) -> None:
    if channel is PAGES and _in_memory(place):
        pytest.skip("this file system is in memory")
    assert received(tier, channel, place, forget=False) > 0.8


def _in_memory(place: str) -> bool:
    longest = ("", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if Path(place).is_relative_to(folder):
            longest = max(longest, (folder, kind), key=lambda one: len(one[0]))
    return longest[1] in ("tmpfs", "ramfs")
