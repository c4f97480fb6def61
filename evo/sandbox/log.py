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
    """

    def __init__(self, stream: int, path: Path | None, keep_bytes: int) -> None:
        self._stream, self._path = stream, path
        self._head, self._tail = bytearray(), bytearray()
        self._head_bytes, self._tail_bytes = keep_bytes // 4, keep_bytes - keep_bytes // 4
        self._left_out = 0
        # A flood is one long line, and the last words come at its end; the whole is bounded anyway.
        self._cleaner = StreamCleaner(most_line_characters=2 * keep_bytes)
        self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
        self._thread.start()

    def tail(self, most_bytes: int = 4096) -> str:
        """The last bytes printed, as text, control codes and all; undecodable ones are replaced."""
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

    def _write(self, file: BinaryIO | None, data: bytes) -> None:
        """Appends to the file; it may be shown on a terminal, so no control code gets there."""
        if file and data:
            with contextlib.suppress(OSError):
                file.write(self._cleaner.feed(data))

    def _read(self) -> bytes:
        try:
            return os.read(self._stream, 1 << 16)
        except OSError:
            return b""
