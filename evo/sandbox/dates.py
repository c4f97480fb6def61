"""When files were last read: a date that one cell could leave for another.

Where the machine's own files are in view, anybody may ask when each was last read, and reading one
changes that: a bit a file, for good. But kernels note a reading only where the one before is a day
old, or older than the file's last change (`relatime` in mount(8)). So whatever cells may read is
read before them, and for a day their own reading changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

SETTLED_SECONDS = 12 * 3600.0
"""Half of the kernel's day: no cell lives as long as the other half."""
_NOT_NOTED = os.ST_RDONLY | os.ST_NOATIME if hasattr(os, "ST_NOATIME") else 0
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def stamps() -> Path:
    """The folder in the user's cache where it is noted when dates were settled last."""
    from platformdirs import user_cache_path

    return user_cache_path("evo") / "dates"


def settle_once(paths: Sequence[str], stamps: Path) -> None:
    """Settles the dates of all that is below some paths, unless it was done not long ago.

    Args:
        paths: What cells may read.
        stamps: A folder of empty files, one for each state of such paths; it may be missing.
    """
    from filelock import FileLock

    places = [*paths, *(f"{path}/{name}" for path in paths for name in _folders(path))]
    key = "\n".join(f"{place} {_changed(place)}" for place in places)
    stamp = stamps / hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
    try:
        stamps.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{stamp}.lock"):  # slots that start together do it once
            if not _is_recent(stamp):
                _settle_all(paths)
                stamp.touch()
    except OSError:  # it can't be noted, so it is done again by the next one
        _settle_all(paths)


def _settle_all(paths: Sequence[str]) -> None:
    for path in paths:
        settle(path)


def _is_recent(stamp: Path) -> bool:
    with contextlib.suppress(OSError):
        return 0 <= time.time() - stamp.stat().st_mtime < SETTLED_SECONDS
    return False


def _folders(path: str) -> list[str]:
    """Names of those right below it: what is installed later changes one of them."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    return []


def settle(path: str) -> None:
    """Reads, of everything below a path, what gives it a date: no content, only where it ends."""
    with contextlib.suppress(OSError):
        if os.statvfs(path).f_flag & _NOT_NOTED:
            return
    _touch(path)
    waiting = [path]
    while waiting:
        # A folder's date is that of its listing.
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    _touch(entry.path)


def _touch(path: str) -> None:
    """Reads a link, or past the end of a file; whatever else there is has no date of its own."""
    with contextlib.suppress(OSError):
        place = Path(path)
        status = place.lstat()
        if stat.S_ISLNK(status.st_mode):
            place.readlink()
        # The kernel's own files are made when they are read, some of them slowly, and not dated.
        elif stat.S_ISREG(status.st_mode) and not path.startswith("/sys/"):
            descriptor = os.open(path, _OPEN)
            try:
                os.pread(descriptor, 1, status.st_size)
            finally:
                os.close(descriptor)


def _changed(path: str) -> int:
    """When something was last added to a folder or taken from it; 0 if it isn't there."""
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0
