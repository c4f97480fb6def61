"""The one way in which a candidate's code starts: a cell, in a sandbox.

`OpenSandbox` is the plainest of them: a clean environment, a private scratch folder, limits, and
an end that takes the whole tree of processes. It keeps accidents in, not attackers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import psutil

import evo
from evo.arena.meter import Meter
from evo.errors import ArenaError

HARNESS = Path(evo.__file__).resolve().parent.parent
PIPE_BYTES = 1 << 20
"""Room for the batch that is sent ahead; the kernel's limit for ordinary users."""
PASSED_ON = ("LD_LIBRARY_PATH", "CUDA_HOME", "SYSTEMROOT")
"""Variables of ours that a cell needs too, where they are set."""
END_SECONDS = 2.0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass(frozen=True, slots=True)
class Limits:
    """What a cell may use; crossing a limit ends it."""

    memory_mb: int
    file_mb: int = 1024
    """Largest file that may be written."""
    open_files: int = 1024
    log_bytes: int = 256 * 1024
    """How much of what it prints is kept: the beginning and the end."""


class Log:
    """What a cell prints: the beginning goes to a file at once, the end when all is over.

    The stream is drained without limit, so that a flood costs the printer's time and nothing else.
    """

    def __init__(self, stream: int, path: Path | None, keep_bytes: int) -> None:
        self._stream, self._path = stream, path
        self._head, self._tail = bytearray(), bytearray()
        self._head_bytes, self._tail_bytes = keep_bytes // 4, keep_bytes - keep_bytes // 4
        self._left_out = 0
        self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
        self._thread.start()

    def tail(self, most_bytes: int = 4096) -> str:
        """The last bytes printed, as text; undecodable bytes are replaced."""
        return bytes((self._head + self._tail)[-most_bytes:]).decode("utf-8", "replace")

    def close(self, timeout_seconds: float = END_SECONDS) -> None:
        """Waits for the end of the stream, which comes when the last process has gone."""
        self._thread.join(timeout_seconds)

    def _drain(self) -> None:
        with contextlib.ExitStack() as stack:
            file = None
            with contextlib.suppress(OSError):  # a full disk costs the log, not the trial
                file = stack.enter_context(self._path.open("ab", 0)) if self._path else None
            while data := self._read():
                head = data[: self._head_bytes - len(self._head)]
                self._head += head
                self._tail += data[len(head) :]
                excess = len(self._tail) - self._tail_bytes
                if excess > 0:
                    self._left_out += excess
                    del self._tail[:excess]
                self._write(file, head)
            if self._left_out:
                self._write(file, f"\n… {self._left_out:,} bytes left out …\n".encode())
            self._write(file, bytes(self._tail))
        os.close(self._stream)

    @staticmethod
    def _write(file: BinaryIO | None, data: bytes) -> None:
        if file and data:
            with contextlib.suppress(OSError):
                file.write(data)

    def _read(self) -> bytes:
        try:
            return os.read(self._stream, 1 << 16)
        except OSError:
            return b""


@dataclass(slots=True)
class Cell:
    """A started process that will run one job, its pipes, and the scratch folder it lives in."""

    process: subprocess.Popen[bytes]
    scratch: Path
    log: Log
    inbound: int
    """We write here: the cell's standard input."""
    outbound: int
    """We read here: the cell's standard output."""
    meter: Meter = field(init=False)
    _ended: bool = False

    def __post_init__(self) -> None:
        self.meter = Meter(self.process.pid)

    def end(self) -> int | None:
        """Kills whatever is left of the tree and removes the scratch; the exit status if any.

        Safe to call more than once.
        """
        if self._ended:
            return self.process.returncode
        self._ended = True
        status = self.process.poll()
        self.kill()
        self.log.close()
        for descriptor in (self.inbound, self.outbound):
            os.close(descriptor)
        shutil.rmtree(self.scratch, ignore_errors=True)
        return status

    def kill(self) -> None:
        """Ends the session's processes and all descendants, also those that left the session.

        Orphans of the tree become our children (see `adopt_orphans`), so a daemon is found again.
        The pipes stay open: whoever writes to one is told that its reader is gone.
        """
        deadline = time.monotonic() + END_SECONDS
        strays = _descendants(self.process.pid)
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


_cells: set[int] = set()
"""Process ids of this referee's own children, which are not orphans."""


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


def adopt_orphans() -> None:
    """Makes this process the parent of daemons that its cells leave behind, so that it can end
    them (Linux; elsewhere a process that leaves its session and its parent is lost).

    Only for a process that has no children but cells.
    """
    global _adopting
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        _adopting = libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


class Sandbox(Protocol):
    """Starts cells."""

    def start(
        self,
        command: Sequence[str],
        *,
        limits: Limits,
        threads: int,
        log: Path | None = None,
        gpu: str = "",
        files: Mapping[str, str] | None = None,
        merge_output: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Cell:
        """Starts a process in a scratch folder of its own.

        Args:
            command: The program and its arguments; `python` stands for this interpreter.
            limits: What it may use.
            threads: How many threads numerical libraries may start.
            log: Where what it prints is kept; None keeps the end in memory only.
            gpu: Index of the GPU that it may see; empty means none.
            files: Texts by name, put into the scratch folder before the start.
            merge_output: Whether its standard output goes to the log too, not to `outbound`.
            variables: Added to its environment.

        Raises:
            ArenaError: It can't be started, for a reason that isn't the candidate's.
        """
        ...


class OpenSandbox:
    """A clean environment, a scratch folder, limits and a certain end; no walls."""

    def start(
        self,
        command: Sequence[str],
        *,
        limits: Limits,
        threads: int,
        log: Path | None = None,
        gpu: str = "",
        files: Mapping[str, str] | None = None,
        merge_output: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Cell:
        try:
            scratch = Path(tempfile.mkdtemp(prefix="evo-cell-"))
            for name, text in (files or {}).items():
                (scratch / name).write_text(text, encoding="utf-8", newline="")
            process = subprocess.Popen(
                [sys.executable, *_LAUNCH, _encode(limits, gpu, merge_output), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=scratch,
                env=environment(scratch, threads, gpu) | dict(variables or {}),
                start_new_session=True,
            )
        except OSError as error:
            raise ArenaError(
                f"a trial can't be started: {error}; free some room and go on"
            ) from error
        _cells.add(process.pid)
        assert process.stdin and process.stdout and process.stderr
        _widen(process.stdin.fileno(), process.stdout.fileno())
        # Raw descriptors of our own from here on: each is closed once, by who reads or writes it.
        inbound, outbound, errors = (
            os.dup(pipe.fileno()) for pipe in (process.stdin, process.stdout, process.stderr)
        )
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        return Cell(
            process=process,
            scratch=scratch,
            log=Log(errors, log, limits.log_bytes),
            inbound=inbound,
            outbound=outbound,
        )


def environment(scratch: Path, threads: int, gpu: str) -> dict[str, str]:
    """The whole environment of a cell: a fixed list, none of it secret."""
    home = str(scratch)
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed_on | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(HARNESS),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": gpu,
        "CUDA_CACHE_PATH": f"{home}/cuda",
        "TRITON_CACHE_DIR": f"{home}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{home}/inductor",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    }


_LAUNCH = ("-P", "-s", "-m", "evo.arena.launch")


def _encode(limits: Limits, gpu: str, merge_output: bool) -> str:
    # CUDA reserves and maps far more than it uses, so there the watchdog alone counts memory.
    data_mb = 0 if gpu else limits.memory_mb
    return f"{data_mb}:{limits.file_mb}:{limits.open_files}:{int(merge_output)}"


def _widen(*pipes: int) -> None:
    for pipe in pipes:
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
