"""A reader that is lent again and again: opening an archive takes longer than most questions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from evo.archive.reading import Reader
from evo.tui.views.place import Place, Stamp, stamp_of


class Lender:
    """Keeps the published copy open that was asked last, until there is a newer one.

    Args:
        place: Where the run's files are.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stamp: Stamp | None = None
        self._reader: Reader | None = None
        self._lock = threading.Lock()

    @contextmanager
    def lend(self) -> Iterator[Reader]:
        """A reader of the copy that is published now, for one thread at a time.

        Raises:
            ArchiveError: It is missing, damaged, or of a newer version.
        """
        with self._lock:
            stamp = stamp_of(self._place.archive)[0]
            if self._reader is None or stamp != self._stamp:
                self._close()
                self._reader = Reader.open(self._place.archive)
                self._stamp = stamp
            yield self._reader

    def close(self) -> None:
        """Gives the file back; lending opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
