"""A cell's scratch folder on the machine's own file system: made, measured, and taken away.

Who owns it may have done anything to it, so nothing in it is ever read, and nothing here walks it
by recursion.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

MOST_FILES = 20_000
MOST_DEPTH = 64
REMOVE_SECONDS = 30.0


def make() -> Path:
    """An empty folder that only we may enter.

    Raises:
        OSError: There is no room for it.
    """
    _sweep()
    return Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))


@functools.cache
def _sweep() -> None:
    """Removes what referees that were killed have left, once a process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        pid = folder.name.removeprefix(_prefix()).split("-")[0]
        if not Path(f"/proc/{pid}").exists() and _is_ours(folder):
            remove(folder)


def _prefix() -> str:
    """Names the namespace that process ids are from: containers may share a folder."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        space = 0
    return f"evo-cell-{space}-"


def _is_ours(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.geteuid() in (0, folder.lstat().st_uid) and not folder.is_symlink()
    return False


def excess(folder: Path, most_mb: int) -> str:
    """Why a scratch folder is too large; empty if it isn't."""
    used, files, waiting = 0, 0, [(str(folder), 0)]
    while waiting:
        path, depth = waiting.pop()
        try:
            entries = list(os.scandir(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"its scratch folder has a folder that can't be looked into: {error.strerror}"
        for entry in entries:
            with contextlib.suppress(OSError):
                used += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, depth + 1))
        files += len(entries)
        if files > MOST_FILES or depth > MOST_DEPTH:
            return f"its scratch folder holds more than {MOST_FILES:,} files or is too deep"
    if used > most_mb << 20:
        return f"its scratch folder held {used >> 20:,} MB; {most_mb:,} are allowed"
    return ""


def excess_of_files(place: str) -> str:
    """Why a file system in memory, whose size is bounded, holds too many files.

    Raises:
        OSError: It can't be seen.
    """
    status = os.statvfs(place)
    if status.f_files - status.f_ffree > MOST_FILES:
        return f"its scratch folder holds more than {MOST_FILES:,} files"
    return ""


def remove(folder: Path) -> None:
    """Removes it with everything in it, however deep or closed; its processes must be gone."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        # These two walk a tree of any depth, and the owner may open what it closed.
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    [*command, "--", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=REMOVE_SECONDS,
                    check=False,
                )
