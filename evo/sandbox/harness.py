"""The code of evo that runs in cells, set apart: cells see a copy of it, and nothing beside it."""

from __future__ import annotations

import functools
import hashlib
import os
import py_compile
import shutil
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
INSIDE = ("__init__.py", "errors.py", "nouns.py", "text.py", "arena/*.py", "sandbox/*.py")
"""What of the package there is in a cell: code, neither the data beside it nor the other rooms."""


@functools.cache
def staged() -> Path:
    """A folder that holds the package `evo` as cells import it, compiled; made if it isn't there.

    Raises:
        OSError: There is no room for it.
    """
    sources = {path: path.read_bytes() for path in _sources()}
    digest = hashlib.sha256(sys.version.encode())
    for path, text in sources.items():
        digest.update(f"{path.relative_to(SOURCE)}\0{len(text)}\0".encode() + text)
    folder = _cache_folder() / digest.hexdigest()[:24]
    if not folder.exists():
        beside = Path(tempfile.mkdtemp(prefix="harness-", dir=folder.parent))
        beside.chmod(0o755)
        for path, text in sources.items():
            _stage(beside / path.relative_to(SOURCE), text)
        try:
            beside.rename(folder)
        except OSError:  # another referee was quicker
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def _sources() -> list[Path]:
    return [path for pattern in INSIDE for path in sorted((SOURCE / "evo").glob(pattern))]


def _stage(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    path.write_bytes(text)
    path.chmod(0o644)
    # By hash and unchecked: a compiled file stays good whatever times the copy has.
    py_compile.compile(
        str(path), doraise=False, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )


def _cache_folder() -> Path:
    """In the user's cache, or, where that can't be written, for this process alone."""
    from platformdirs import user_cache_path

    folder = user_cache_path("evo") / "harness"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="evo-harness-"))
