"""Where a run's files are, and what can be read of them without opening a database."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from evo.engine import curves, heartbeat, inbox
from evo.engine.heartbeat import Heartbeat
from evo.engine.inbox import Request
from evo.engine.layout import PUBLISHED
from evo.nouns import CurvePoint
from evo.text import clean_text

SHOWN_EVENTS = 400
"""Lines of the log of events that are kept in sight."""
TAIL_BYTES = 64 * 1024
LITTLE_MB = 512
"""Free space on the disk below which a search is in danger."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one run."""

    name: str
    archive_folder: Path
    """archive/RUN."""
    folder: Path | None = None
    """population/RUN; None for an archive from elsewhere, which can't be steered."""
    program: Path | None = None
    """program.md, as it is now."""
    flag: str = ""
    """What a suggested command needs so as to mean this run; see `config.run_flag`."""

    @property
    def archive(self) -> Path:
        return self.archive_folder / PUBLISHED

    def log_of(self, trial: int) -> Path | None:
        """The file with what a trial printed."""
        return None if self.folder is None else self.folder / "trials" / str(trial) / "log.txt"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Identity of a file's content: another inode, size or time is another content."""

    inode: int
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the files of a run say at one moment."""

    at: float
    """Unix seconds, by the clock of who looks."""
    beat: Heartbeat | None
    alive: bool
    """Whether the engine's very process is there."""
    stamp: Stamp | None
    """Of the published archive; None if there is none."""
    published_at: float | None
    pending: tuple[Request, ...]
    """Asked, and not yet taken by an engine."""
    events: tuple[str, ...]
    """Last lines of the log of events, oldest first."""
    live: dict[int, tuple[CurvePoint, ...]]
    """Loss curves of the trials that run, by trial."""
    free_mb: float
    """Free space where the run is kept."""


def look(place: Place, now: float) -> Pulse:
    """Reads everything that is cheap to read of a run."""
    folder = place.folder
    beat = heartbeat.read(folder) if folder else None
    alive = heartbeat.alive(beat)
    stamp, published_at = stamp_of(place.archive)
    pending: tuple[Request, ...] = ()
    live: dict[int, tuple[CurvePoint, ...]] = {}
    if folder is not None:
        pending = tuple(request for _, request in inbox.take(folder) if request is not None)
        if alive and beat is not None:
            live = {one.trial: curves.read(folder, one.trial) for one in beat.running}
    return Pulse(
        at=now,
        beat=beat,
        alive=alive,
        stamp=stamp,
        published_at=published_at,
        pending=pending,
        events=_tail(folder / heartbeat.LOG) if folder else (),
        live=live,
        free_mb=_free_mb(folder or place.archive_folder),
    )


def stamp_of(path: Path) -> tuple[Stamp | None, float | None]:
    """Identity and time of a file; None of either if it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None, None
    return Stamp(found.st_ino, found.st_size, found.st_mtime_ns), found.st_mtime


def _tail(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ()
    lines = text.splitlines()
    if size > TAIL_BYTES:
        lines = lines[1:]  # the first is cut
    return tuple(clean_text(line) for line in lines[-SHOWN_EVENTS:])


def _free_mb(folder: Path) -> float:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free / 2**20
    except OSError:
        return float("inf")
