"""A real terminal: a program on a pseudo-terminal, and what pyte keeps of all it draws."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType

import pyte

PATIENCE_SECONDS = 60.0
QUIET_SECONDS = 0.003
"""A picture is complete when nothing has followed for so long."""


class Terminal:
    """`evo ARGUMENTS` in a terminal of its own; use it in a `with` block."""

    def __init__(self, project: Path, *arguments: str, size: tuple[int, int] = (110, 32)) -> None:
        width, height = size
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        state = project / "state"
        environment = os.environ | {
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_STATE_HOME": str(state),
        }  # fmt: skip
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evo", *arguments],
            cwd=project,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        os.close(self._master)

    def kill(self) -> None:
        """Ends the program as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def paint(self, keys: str, mark: bytes) -> float:
        """Presses keys; seconds until the picture that answers, with a mark in it, is there."""
        began = time.perf_counter()
        self.press(keys)
        drawn = self._drawn(PATIENCE_SECONDS)
        while mark not in drawn:
            assert time.perf_counter() - began < PATIENCE_SECONDS, f"{keys!r} changes nothing"
            drawn += self._drawn(PATIENCE_SECONDS)
        ended = time.perf_counter()
        while more := self._drawn(QUIET_SECONDS):
            ended = time.perf_counter()
            drawn += more
        self._stream.feed(drawn)
        return ended - began

    def silence(self, seconds: float) -> None:
        """Presses nothing for a while, and reads what is drawn meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._stream.feed(self._drawn(left))

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def see(self, words: str) -> None:
        """Reads what the program draws until words are on the screen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.text():
            assert time.monotonic() < deadline, f"{words!r} isn't on\n{self.text()}"
            self._read()

    def miss(self, words: str) -> None:
        """Reads until words are no longer on the screen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words in self.text():
            assert time.monotonic() < deadline, f"{words!r} stays on\n{self.text()}"
            self._read()

    def end(self) -> int:
        """Reads on until the program has ended; its exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it doesn't end\n{self.text()}"
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        try:
            self._stream.feed(self._drawn(0.1))
        except OSError:  # the other end is closed
            time.sleep(0.05)

    def _drawn(self, seconds: float) -> bytes:
        """What the program draws next; nothing if it draws nothing for so long."""
        ready = select.select([self._master], [], [], seconds)[0]
        return os.read(self._master, 65536) if ready else b""
