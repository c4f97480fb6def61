"""Publishing: a copy of something for everybody else, replaced whole.

A reader has the old copy or the new one, never a part, and one that has a copy open keeps it. The
engine is held up for a checkpoint at most; copies are made on threads of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from evo.archive.archive import Archive
from evo.errors import ArchiveError, EvoError


class Publisher:
    """Copies something to its published place, as often as asked but never twice at a time.

    Args:
        copy: Copies once, on the publisher's thread.
        destination: What it writes, as errors name it.
    """

    def __init__(self, copy: Callable[[], None], destination: Path) -> None:
        self._copy, self._destination = copy, destination
        self._wake = threading.Condition()
        self._wanted = self._done = 0
        self._closed = False
        self.last_error: str | None = None
        """Why the last attempt failed; None if it succeeded. The copy before it is intact."""
        self._thread = threading.Thread(target=self._serve, name="publisher", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Asks for a copy of what the archive holds now; returns at once."""
        with self._wake:
            self._wanted += 1
            self._wake.notify_all()

    def flush(self) -> None:
        """Waits until all that was asked for is published, or has failed.

        Raises:
            ArchiveError: The last attempt failed.
        """
        with self._wake:
            wanted = self._wanted
            self._wake.wait_for(lambda: self._done >= wanted)
        if self.last_error is not None:
            raise ArchiveError(self.last_error)

    def close(self) -> None:
        """Ends the thread, after what it is doing."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._wanted > self._done)
                if self._wanted == self._done:
                    return
                wanted = self._wanted
            try:
                self._copy()
                self.last_error = None
            except (EvoError, OSError) as error:
                self.last_error = f"{self._destination} can't be published: {error}"
            except Exception as error:  # whoever waits for this thread has to hear of it
                self.last_error = f"{self._destination} can't be published: bug: {error!r}"
            with self._wake:
                self._done = wanted  # requests that came meanwhile are served by one more copy
                self._wake.notify_all()


def publish(archive: Archive, destination: Path) -> None:
    """Copies an archive once; the folder is made.

    The archive's file doesn't change while it is copied: see `Archive`.

    Raises:
        ArchiveError: The checkpoint failed.
        OSError: The copy can't be written; what was published before is intact.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = destination.with_name(f".{destination.name}.new")
    archive.checkpoint()
    try:
        shutil.copyfile(archive.path, beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(destination)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
    folder = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
