"""What a compiler leaves behind: handed in by a cell, and laid before a later one.

Compiling takes longer than anything else before the first batch on a GPU, and most variants compile
what the baseline does. But whoever wrote to another trial's cache could decide what that runs. So
each trial has caches of its own, and they begin with what a text left behind that a person wrote.
`gather` and `lay` run in cells; nobody else looks into the bytes.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
"""Variables that say where compilers keep what they made."""
MOST_BYTES = 256 << 20
"""That are handed on."""


class Kept(msgspec.Struct, frozen=True):
    """The file of it that trials share; a full disk costs later ones some seconds."""

    file: str
    trusted: bool
    """Whether a person wrote the text that is trained: then it is made, if it isn't there."""

    def read(self) -> bytes:
        with suppress(OSError):
            return Path(self.file).read_bytes()
        return b""

    def write(self, content: bytes | bytearray) -> None:
        """Whole or not at all."""
        draft = Path(f"{self.file}.{os.getpid()}")
        try:
            draft.write_bytes(content)
            draft.replace(self.file)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def gather(environment: Mapping[str, str] = os.environ) -> bytes:
    """A zip of what lies in the caches; empty if that is nothing, or too much to be handed on."""
    packed, used = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w") as archive:
        for name in CACHES:
            folder = Path(environment[name])
            for file in sorted(folder.rglob("*")):
                if file.is_file() and not file.is_symlink():
                    used += file.stat().st_size
                    if used > MOST_BYTES // 2:  # what the format adds is less than that again
                        return b""
                    archive.write(file, f"{name}/{file.relative_to(folder)}")
    return packed.getvalue() if used else b""


def lay(packed: bytes | bytearray, environment: Mapping[str, str] = os.environ) -> None:
    """Unpacks it into this cell's caches; what can't be read is left out."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            for one in archive.infolist():
                name, _, rest = one.filename.partition("/")
                place = Path(environment[name]) / rest
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(one))
    except (zipfile.BadZipFile, KeyError, OSError):
        return  # it compiles for itself, then
