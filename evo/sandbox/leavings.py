"""What a cell's program leaves in its scratch folder: small texts, read as a stranger's.

Where a cell has a file system of its own, nobody outside can look into it. There this module is
the cell's command, around the program: `python -m evo.sandbox.leavings NAMES PROGRAM ...` prints
them as JSON at its end.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence

MOST_BYTES = 1 << 20
"""Of one text; what is longer is cut there."""


def around(names: Sequence[str], command: Sequence[str]) -> list[str]:
    """The command that starts a program and prints what it leaves."""
    return ["python", "-m", __name__, "\n".join(names), *command]


def read(folder: str, names: Sequence[str]) -> dict[str, str]:
    """The texts that a folder holds: plain files of UTF-8, neither links nor anything that waits.

    Args:
        folder: Somebody else may have done anything to what is in it.
        names: Without folders.
    """
    found = {}
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        for name in names:
            try:
                with os.fdopen(os.open(name, flags, dir_fd=inside), "rb") as file:
                    status = os.fstat(file.fileno())
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                        found[name] = file.read(MOST_BYTES).decode()
            except (OSError, UnicodeDecodeError):
                continue
    finally:
        os.close(inside)
    return found


def main() -> None:
    names, command = sys.argv[1].split("\n"), sys.argv[2:]
    try:
        status = subprocess.call(command, stdout=2)
    except OSError as error:
        sys.exit(f"{command[0]} can't be started: {error.strerror}")
    json.dump(read(".", names), sys.stdout)
    sys.exit(min(abs(status), 255))


if __name__ == "__main__":
    main()
