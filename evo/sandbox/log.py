"""What a cell prints: drained without limit, kept in part, and clean where a person may read it."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

from evo.text import StreamCleaner

END_SECONDS = 2.0


class Log:
    """What a cell prints: the beginning goes to a file at once, the end when all is over.

    The stream is drained without limit, so that a flood costs the printer's time and nothing else.

    Args:
        stream: What is drained, and closed at its end.
        keep_bytes: How much is kept, a quarter of it from the beginning.
    """

    def __init__(self, stream: int, keep_bytes: int) -> None:
        self._stream = stream
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._head, self._tail = bytearray(), bytearray()
        self._head_bytes, self._tail_bytes = keep_bytes // 4, keep_bytes - keep_bytes // 4
        self._left_out = 0
        # A flood is one long line, and the last words come at its end; the whole is bounded anyway.
        self._cleaner = StreamCleaner(most_line_characters=2 * keep_bytes)
        self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
        self._thread.start()

    def keep(self, path: Path) -> None:
        """Writes it to a file from now on, with what has been printed by now."""
        with self._lock, contextlib.suppress(OSError):  # a full disk costs the log, not the trial
            self._file = path.open("ab", 0)
            self._write(bytes(self._head))

    def tail(self, most_bytes: int = 4096) -> str:
        """The last bytes printed, as text, control codes and all; undecodable ones are replaced."""
        return bytes((self._head + self._tail)[-most_bytes:]).decode("utf-8", "replace")

    def close(self, timeout_seconds: float = END_SECONDS) -> None:
        """Waits for the end of the stream, which comes when the last process has gone."""
        self._thread.join(timeout_seconds)

    def _drain(self) -> None:
        while data := self._read():
            with self._lock:
                self._take(data)
        with self._lock:
            if self._left_out:
                self._write(f"\n… {self._left_out:,} bytes left out …\n".encode())
            self._write(bytes(self._tail))
            if self._file:
                self._file.close()
        os.close(self._stream)

    def _take(self, data: bytes) -> None:
        head = data[: self._head_bytes - len(self._head)]
        self._head += head
        self._tail += data[len(head) :]
        excess = len(self._tail) - self._tail_bytes
        if excess > 0:
            self._left_out += excess
            del self._tail[:excess]
        self._write(head)

    def _write(self, data: bytes) -> None:
        """Appends to the file; it may be shown on a terminal, so no control code gets there."""
        if self._file and data:
            with contextlib.suppress(OSError):
                self._file.write(self._cleaner.feed(data))

    def _read(self) -> bytes:
        try:
            return os.read(self._stream, 1 << 16)
        except OSError:
            return b""
