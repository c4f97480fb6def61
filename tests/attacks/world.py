"""A world to be attacked: secrets, files, ears and a bystander, all as open as this user can make
them, and what became of them, seen from outside."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pty
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from evo.arena.rules import EndedError, check_memory
from evo.sandbox.cells import Cell, adopt_orphans, spare
from evo.sandbox.plan import Limits, Tier
from evo.sandbox.sandbox import TierSandbox

BEGUN, TRIED, GOT = "ATTACK BEGINS", "TRIED", "GOT"
PRELUDE = f"""
import ctypes, json, os, signal, socket, subprocess, sys, time
BAIT = json.loads(os.environ['BAIT'])
libc = ctypes.CDLL(None, use_errno=True)
print({BEGUN!r}, flush=True)

def attempt(action):
    "Does something that must not work; tells how it went. What it gets is printed: a loud thief."
    try:
        found = action()
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        found = f'{{type(error).__name__}}: {{error}}'
    else:
        if found is None or found is True:
            print({GOT!r}, flush=True)
    print({TRIED!r}, found, flush=True)

def call(name, *arguments):
    "A function of the C library, its error raised."
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = getattr(libc, name)(*given)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def read(path):
    with open(path, 'rb') as file:
        return file.read(4096)
"""
BYSTANDER = """
import signal, sys, time
def note(number, frame):
    with open(sys.argv[1], 'a') as file:
        file.write(f'signal {number}\\n')
for number in (signal.SIGURG, signal.SIGTERM, signal.SIGUSR1, signal.SIGIO):
    signal.signal(number, note)
print('ready', flush=True)
while True:
    time.sleep(0.05)
"""
LIMITS = Limits(memory_mb=300, scratch_mb=32, file_mb=16, tasks=40, log_bytes=64 * 1024)
DEATH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack left."""

    output: str
    status: int | None
    ended_because: str
    """The limit that it crossed; empty if it ended by itself."""
    peak_memory_mb: float
    most_processes: int
    survivors: int
    left_on_disk: bool


@dataclass(slots=True)
class World:
    """Everything that there is to be had."""

    folder: Path
    bystander: subprocess.Popen[str]
    ears: dict[str, socket.socket]
    terminal: int
    shared_memory: int
    secrets: dict[str, str]
    bait: dict[str, str]
    before: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def run(self, tier: Tier, attack: str, *, wait_seconds: float = 20.0) -> Outcome:
        """Runs an attack in a cell, as a referee would, and ends it."""
        token = secrets.token_hex(8)
        cell = TierSandbox(tier).start(
            ("python", "attack.py"),
            limits=LIMITS,
            threads=1,
            files={"attack.py": PRELUDE + textwrap.dedent(attack)},
            merge_output=True,
            variables={"BAIT": json.dumps(self.bait), "CELL": token},
        )
        most, why = 0, ""
        deadline = time.monotonic() + wait_seconds
        try:
            while cell.poll() is None and time.monotonic() < deadline:
                check_memory(cell, LIMITS.memory_mb)
                most = max(most, cell.meter.processes)
                time.sleep(0.02)
        except EndedError as ended:
            why = ended.cause
        status = cell.end()
        return Outcome(
            output=cell.log.tail(1 << 20),
            status=status,
            ended_because=why,
            peak_memory_mb=cell.meter.peak_memory_mb,
            most_processes=most,
            survivors=_survivors(cell, token),
            left_on_disk=cell.scratch is not None and cell.scratch.exists(),
        )

    def harm(self) -> list[str]:
        """What has been taken, changed or heard."""
        found = [f"something came by {name}" for name, ear in self.ears.items() if _heard(ear)]
        if select.select([self.terminal], [], [], 0)[0]:
            found.append(f"the terminal shows {os.read(self.terminal, 100)!r}")
        now = self.look()
        for path in self.before.keys() | now.keys():
            if self.before.get(path) != now.get(path):
                found.append(f"{path}: {self.before.get(path)} became {now.get(path)}")
        return found

    def look(self) -> dict[str, tuple[object, ...]]:
        """The state of everything that could be changed."""
        found: dict[str, tuple[object, ...]] = {}
        for path in (self.folder, *sorted(self.folder.rglob("*"))):
            status = path.lstat()
            found[str(path)] = (
                oct(status.st_mode), status.st_uid, status.st_nlink, status.st_mtime_ns,
                path.read_bytes() if path.is_file() else None, tuple(os.listxattr(path)),
            )  # fmt: skip
        process = psutil.Process(self.bystander.pid)
        found["the bystander"] = (
            self.bystander.poll(), process.nice(), process.rlimit(psutil.RLIMIT_NOFILE),
            process.rlimit(psutil.RLIMIT_CPU), tuple(process.cpu_affinity() or ()),
            os.sched_getscheduler(process.pid), process.status() == psutil.STATUS_STOPPED,
        )  # fmt: skip
        mine = psutil.Process()
        found["the referee"] = (mine.nice(), mine.rlimit(psutil.RLIMIT_NOFILE), os.getpgid(0))
        return found

    def taken(self, output: str) -> list[str]:
        """Which secrets are in an output."""
        return [name for name, secret in self.secrets.items() if secret in output]


def _heard(ear: socket.socket) -> bool:
    return bool(select.select([ear], [], [], 0)[0])


def _survivors(cell: Cell, token: str) -> int:
    """Processes of a cell that are there a moment after its end."""
    deadline = time.monotonic() + DEATH_SECONDS
    while True:
        count = sum(
            _belongs(process, cell, token) for process in psutil.process_iter(["status", "pid"])
        )
        if not count or time.monotonic() > deadline:
            return count
        time.sleep(0.05)


def _belongs(process: psutil.Process, cell: Cell, token: str) -> bool:
    if process.info["status"] == psutil.STATUS_ZOMBIE:
        return False
    with contextlib.suppress(OSError):
        if os.getsid(process.pid) == cell.process.pid:
            return True
    with contextlib.suppress(OSError):
        return token.encode() in Path(f"/proc/{process.pid}/environ").read_bytes()
    return False


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Lays everything out, and clears it away."""
    adopt_orphans()
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="evo-world-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        names = ["ssh_key", "archive", "validation", "other_trial", "argument", "environment"]
        names += ["shared_memory", "shm_file", "descriptor"]
        hidden = {name: secrets.token_hex(16) for name in names}
        _lay_files(folder, hidden)
        ears = _ears(folder, stack)
        bystander = subprocess.Popen(
            [sys.executable, "-S", "-c", BYSTANDER, str(folder / "signals"), hidden["argument"]],
            stdout=subprocess.PIPE,
            text=True,
            env={"API_KEY": hidden["environment"]},
        )
        stack.callback(bystander.wait)
        stack.callback(bystander.kill)
        spare(bystander.pid)
        assert bystander.stdout
        bystander.stdout.readline()
        master, slave = pty.openpty()
        stack.callback(os.close, master)
        stack.callback(os.close, slave)
        os.chmod(os.ttyname(slave), 0o666)  # noqa: PTH101
        segment = _shared_memory(hidden["shared_memory"].encode(), stack)
        shm_file = Path(f"/dev/shm/evo-{secrets.token_hex(4)}")
        shm_file.write_text(hidden["shm_file"])
        shm_file.chmod(0o666)
        stack.callback(shm_file.unlink, missing_ok=True)
        leak = os.open(folder / "descriptor", os.O_RDWR)
        os.set_inheritable(leak, True)
        stack.callback(os.close, leak)
        made = World(folder, bystander, ears, master, segment, hidden, {})
        made.bait = {
            "folder": str(folder), "bystander": str(bystander.pid), "referee": str(os.getpid()),
            "terminal": os.ttyname(slave), "segment": str(segment), "shm": str(shm_file),
            "tcp": str(ears["tcp"].getsockname()[1]), "tcp6": str(ears["tcp6"].getsockname()[1]),
            "udp": str(ears["udp"].getsockname()[1]),
        }  # fmt: skip
        made.before = made.look()
        yield made


def _lay_files(folder: Path, hidden: dict[str, str]) -> None:
    for name in ("ssh_key", "archive", "validation", "other_trial", "descriptor"):
        (folder / name).write_text(hidden[name])
    (folder / "deeper").mkdir()
    (folder / "deeper" / "file").write_text("as it was")
    (folder / "signals").touch()
    os.mkfifo(folder / "fifo")
    shutil.copy("/bin/cat", folder / "setuid_cat")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    (folder / "setuid_cat").chmod(0o4755)


def _ears(folder: Path, stack: contextlib.ExitStack) -> dict[str, socket.socket]:
    def listen(kind: int, family: int, address: str | tuple[str, int]) -> socket.socket:
        ear = stack.enter_context(socket.socket(family, kind))
        ear.bind(address)
        if kind == socket.SOCK_STREAM:
            ear.listen()
        return ear

    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    ears = {
        "tcp": listen(stream, socket.AF_INET, ("127.0.0.1", 0)),
        "tcp6": listen(stream, socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET, ("::1", 0)),
        "udp": listen(datagram, socket.AF_INET, ("127.0.0.1", 0)),
        "stream": listen(stream, socket.AF_UNIX, str(folder / "stream")),
        "datagram": listen(datagram, socket.AF_UNIX, str(folder / "datagram")),
        "abstract": listen(stream, socket.AF_UNIX, f"\0{folder.name}"),
        "abstract datagram": listen(datagram, socket.AF_UNIX, f"\0{folder.name}-datagram"),
    }
    for name in ("stream", "datagram"):
        (folder / name).chmod(0o777)
    return ears


def _shared_memory(text: bytes, stack: contextlib.ExitStack) -> int:
    """A System V segment that anybody may read; its id."""
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    segment: int = libc.shmget(0, 4096, 0o1666)
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, text, len(text))
    libc.shmdt(ctypes.c_void_p(address))
    stack.callback(libc.shmctl, segment, 0, None)
    return segment
