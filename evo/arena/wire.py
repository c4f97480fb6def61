"""The wire between the referee and a cell: framed messages over a pair of pipes.

A frame is one byte of kind, eight bytes of length (little endian), and that many bytes. Both sides
use it, but only the referee has to distrust it: it names a cap for every kind before it reads, so
a hostile length can make it neither allocate nor wait for more than that.
"""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

HEADER = struct.Struct("<BQ")
CHUNK = 1 << 20
"""Bytes asked of the pipe at a time."""
READ_SECONDS = 0.05
"""For so long a frame that keeps coming is read before somebody else is looked after."""


class Kind(IntEnum):
    """What a frame carries, and who sends it."""

    JOB = 1  # referee: JSON of a Job
    ORDER = 2  # cell: one batch wanted; u32 rows
    BATCH = 3  # referee: tokens (rows, sequence_len + 1), in the corpus's dtype
    END = 4  # referee: the budget is used up
    REPORT = 5  # cell: u32 step, f64 loss
    STATS = 6  # cell: JSON of CellStats
    WEIGHTS = 7  # both ways: opaque bytes
    ANSWER = 8  # cell: float32 (rows, sequence_len), then float32 (rows, vocab_size)
    FAULT = 9  # cell: JSON of Fault
    DONE = 10  # cell: nothing more will come
    READY = 12  # cell: evo's own code is loaded, and the candidate's isn't yet
    ASK = 11  # referee: a position u32 (rows,), then tokens (rows, sequence_len + 1)
    COMPILED = 13  # both ways: a zip of compile caches


class WireError(Exception):
    """The other side broke the protocol; the text says how."""


class PipeClosedError(WireError):
    """The other side closed its end."""


Part = bytes | bytearray | memoryview


def write_frame(descriptor: int, kind: Kind, *parts: Part) -> None:
    """Writes one frame, blocking until the pipe has taken it all.

    Raises:
        PipeClosedError: The reader is gone.
    """
    views = [memoryview(part) for part in parts]
    write_parts(descriptor, kind, sum(view.nbytes for view in views), views)


def write_parts(descriptor: int, kind: Kind, total_bytes: int, parts: Iterable[Part]) -> None:
    """Writes one frame whose body is still being made, a part at a time.

    Raises:
        PipeClosedError: The reader is gone.
    """
    try:
        # The header goes out by itself: the reader may be waiting for the length of a big frame.
        _write_all(descriptor, memoryview(HEADER.pack(kind, total_bytes)))
        for part in parts:
            view = memoryview(part)
            if view.nbytes:
                _write_all(descriptor, view.cast("B"))
    except BrokenPipeError as error:
        raise PipeClosedError("the other side closed the pipe") from error


def offer_frame(descriptor: int, tick_seconds: float, kind: Kind, *parts: Part) -> Iterator[None]:
    """Writes one frame to a side that isn't trusted, and may never read it.

    Yields whenever the pipe has been full for a tick, or has had room again: time to look whether
    it is worth going on.

    Raises:
        PipeClosedError: The reader is gone.
    """
    os.set_blocking(descriptor, False)
    views = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    header = HEADER.pack(kind, sum(view.nbytes for view in views))
    for view in (memoryview(header), *views):
        left = view
        while left.nbytes:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                select.select([], [descriptor], [], tick_seconds)
                yield
            except BrokenPipeError as error:
                raise PipeClosedError("the other side closed the pipe") from error


def _write_all(descriptor: int, view: memoryview) -> None:
    while view.nbytes:
        view = view[os.write(descriptor, view) :]


def read_frame(descriptor: int) -> tuple[Kind, bytearray]:
    """Reads one frame from a side that is trusted (the cell's view of the referee).

    Raises:
        PipeClosedError: The pipe ended, in a frame or between two.
    """
    kind, length = HEADER.unpack(_read_exactly(descriptor, HEADER.size))
    return Kind(kind), _read_exactly(descriptor, length)


def _read_exactly(descriptor: int, length: int) -> bytearray:
    buffer = bytearray(length)
    view = memoryview(buffer)
    while view.nbytes:
        count = os.readv(descriptor, [view[:CHUNK]])
        if count == 0:
            raise PipeClosedError("the other side closed the pipe")
        view = view[count:]
    return buffer


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame from a cell."""

    kind: Kind
    body: bytearray


@dataclass(slots=True)
class FrameReader:
    """Reads frames from a side that isn't trusted, without ever blocking for longer than asked.

    Args:
        descriptor: The reading end of the pipe.
        caps: Largest body in bytes by kind; a kind that isn't listed is refused.
    """

    descriptor: int
    caps: Mapping[Kind, int]
    _header: bytearray = field(default_factory=bytearray)
    _body: bytearray | None = None
    _filled: int = 0
    _kind: Kind = Kind.DONE

    @property
    def arriving(self) -> Kind | None:
        """The kind of the frame whose header has come but not yet its whole body."""
        return self._kind if self._body is not None else None

    @property
    def expected_bytes(self) -> int:
        """Length of the body that is arriving; 0 between frames."""
        return 0 if self._body is None else len(self._body)

    def poll(self, timeout_seconds: float) -> Frame | None:
        """The next whole frame, or None if it hasn't all come within the time.

        Raises:
            PipeClosedError: The pipe ended.
            WireError: A kind or a length that isn't allowed.
        """
        ready, _, _ = select.select([self.descriptor], [], [], max(timeout_seconds, 0.0))
        deadline = time.monotonic() + READ_SECONDS
        while ready:
            frame = self._advance()
            # There may always be one more byte, and whoever asks has other things to look after.
            if frame is not None or time.monotonic() > deadline:
                return frame
            ready, _, _ = select.select([self.descriptor], [], [], 0.0)
        return None

    def _advance(self) -> Frame | None:
        """Takes one read's worth of bytes; the frame, if that completed it."""
        if self._body is None:
            data = os.read(self.descriptor, HEADER.size - len(self._header))
            if not data:
                raise PipeClosedError("it closed its end of the pipe")
            self._header += data
            if len(self._header) == HEADER.size:
                self._begin_body()
        else:
            view = memoryview(self._body)[self._filled : self._filled + CHUNK]
            count = os.readv(self.descriptor, [view])
            if count == 0:
                raise PipeClosedError("it closed its end of the pipe within a message")
            self._filled += count
        if self._body is not None and self._filled == len(self._body):
            frame, self._body, self._filled = Frame(self._kind, self._body), None, 0
            return frame
        return None

    def _begin_body(self) -> None:
        number, length = HEADER.unpack(bytes(self._header))
        self._header.clear()
        if number not in Kind._value2member_map_ or Kind(number) not in self.caps:
            raise WireError(f"a message of kind {number} isn't part of the protocol")
        self._kind = Kind(number)
        if length > self.caps[self._kind]:
            raise WireError(
                f"a {self._kind.name} message of {length:,} bytes is over the cap of "
                f"{self.caps[self._kind]:,}"
            )
        self._body = bytearray(length)
