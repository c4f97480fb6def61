"""Notices: a new champion, a stuck search or an engine that ended, told where a person looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evo.text import clean_text
from evo.tui.views.place import Pulse
from evo.tui.views.snapshot import Snapshot

if TYPE_CHECKING:
    from textual.app import App

STUCK_TRIALS = 100
"""Trials without a new champion, after which a search is called stuck."""


def news(
    before: tuple[Pulse, Snapshot | None] | None, pulse: Pulse, snapshot: Snapshot | None
) -> list[str]:
    """What has happened between two looks that a person would want to be called for."""
    if before is None:
        return []
    was, old = before
    found = []
    if was.alive and not pulse.alive:
        message = pulse.beat.message if pulse.beat and pulse.beat.phase.over else "it is gone"
        found.append(f"The engine has ended: {message}")
    if old is None or snapshot is None or snapshot is old:
        return found
    if snapshot.champion != old.champion and snapshot.champion is not None:
        row = snapshot.row(snapshot.champion)
        if row is not None and row.id:
            found.append(f"New champion v{row.id}: {row.title}")
    if _stuck(snapshot) and not _stuck(old):
        found.append(f"No new champion for {STUCK_TRIALS} trials")
    return found


def _stuck(snapshot: Snapshot) -> bool:
    if not snapshot.promotions:
        return False
    last = snapshot.promotions[-1].at
    return sum((point.finished_at or last) > last for point in snapshot.points) >= STUCK_TRIALS


class Notifier:
    """Rings the bell, tells the terminal, and whoever else wants to know.

    Args:
        outside: Called with each notice; what it raises as an OSError is shown.
    """

    def __init__(self, outside: Callable[[str], None] | None = None) -> None:
        self._outside = outside
        self._before: tuple[Pulse, Snapshot | None] | None = None

    def watch(self, app: App[Any], pulse: Pulse, snapshot: Snapshot | None) -> None:
        """Compares with the last look, and tells what is new."""
        for text in news(self._before, pulse, snapshot):
            self._tell(app, clean_text(" ".join(text.split())))
        self._before = (pulse, snapshot)

    def _tell(self, app: App[Any], text: str) -> None:
        app.notify(text, timeout=10)
        app.bell()
        if app._driver is not None:
            app._driver.write(f"\x1b]9;evo: {text}\x07")  # OSC 9: a desktop notification
        if self._outside is not None:
            try:
                self._outside(text)
            except OSError as error:
                app.notify(f"the notice can't be passed on: {error}", severity="warning")
