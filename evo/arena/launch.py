"""The first thing that runs in a cell: takes its limits upon itself and becomes the command.

It is a program of its own because the code between fork and exec of a threaded parent must not be
Python. It imports next to nothing: its start is paid by every trial.
"""

import os
import resource
import sys


def main() -> None:
    """`launch DATA_MB:FILE_MB:OPEN_FILES:MERGE COMMAND …`; `python` becomes this interpreter."""
    data_mb, file_mb, open_files, merge_output = (int(part) for part in sys.argv[1].split(":"))
    if sys.platform == "linux":
        _die_with_the_referee()
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_FSIZE, file_mb << 20)
    _cap(resource.RLIMIT_NOFILE, open_files)
    if data_mb:
        _cap(resource.RLIMIT_DATA, data_mb << 20)
    if merge_output:
        os.dup2(2, 1)
    command = sys.argv[2:]
    if command[0] == "python":
        command = [sys.executable, "-P", "-s", *command[1:]]
    os.execvp(command[0], command)


def _cap(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (limit, limit))


def _die_with_the_referee() -> None:
    """A referee that is killed takes its cells along (PR_SET_PDEATHSIG is 1, SIGKILL is 9)."""
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
    if os.getppid() != parent or parent == 1:
        sys.exit("the referee is gone")


if __name__ == "__main__":
    main()
