"""The first look at an archive, begun before there is a screen: it is read while Python imports."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from evo.errors import ArchiveError

if TYPE_CHECKING:
    from evo.tui.views.place import Place, Stamp
    from evo.tui.views.snapshot import Snapshot


class EarlyLook:
    """Reads a run's snapshot on a thread, from the moment that it is made.

    Args:
        place: Where the run's files are.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stamp: Stamp | None = None
        self._snapshot: Snapshot | None = None
        self._thread = threading.Thread(target=self._read, name="early look", daemon=True)
        self._thread.start()

    def take(self, stamp: Stamp) -> Snapshot | None:
        """What was read; None if that was of another copy, or failed. It isn't kept any longer."""
        self._thread.join()
        snapshot, self._snapshot = self._snapshot, None
        return snapshot if self._stamp == stamp else None

    def _read(self) -> None:
        # Imported here, for these imports are half of what takes time.
        from evo.archive.reading import Reader
        from evo.tui.views.place import stamp_of
        from evo.tui.views.snapshot import load

        self._stamp = stamp_of(self._place.archive)[0]
        if self._stamp is not None:
            try:
                with Reader.open(self._place.archive) as reader:
                    self._snapshot = load(reader)
            except ArchiveError:
                pass  # whoever reads it next says so
