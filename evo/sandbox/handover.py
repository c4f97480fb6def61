"""Descriptors that a process is started with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile

PIPE_BYTES = 1 << 20
"""Room for the batch that is sent ahead; the kernel's limit for ordinary users."""


class Handover:
    """Opens what a new process inherits; on leaving, our copies of it are closed, and whatever
    else was opened and isn't kept."""

    def __init__(self) -> None:
        self._given: list[int] = []
        self._ours: set[int] = set()

    def __enter__(self) -> Handover:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (*self._given, *self._ours):
            os.close(descriptor)

    @property
    def given(self) -> tuple[int, ...]:
        return tuple(self._given)

    def give(self, descriptor: int) -> int:
        """Hands over something that is open."""
        self._given.append(descriptor)
        return descriptor

    def text(self, data: bytes) -> int:
        """Hands over bytes, to be read from a file that has no name."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("evo", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        self.give(descriptor)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def inbound(self) -> tuple[int, int]:
        """A pipe to the new process: its end, and ours."""
        theirs, ours = os.pipe()
        return self._pipe(theirs, ours)

    def outbound(self) -> tuple[int, int]:
        """A pipe from the new process: its end, and ours."""
        ours, theirs = os.pipe()
        return self._pipe(theirs, ours)

    def keep(self, *descriptors: int) -> None:
        """These ends of ours stay open."""
        self._ours -= set(descriptors)

    def _pipe(self, theirs: int, ours: int) -> tuple[int, int]:
        self._given.append(theirs)
        self._ours.add(ours)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return theirs, ours
