"""The same file system and namespaces as `namespaces` makes, made by bubblewrap.

https://github.com/containers/bubblewrap. Run by root it is given no user namespace: in one that is
mapped to root, /proc/sys would be writable. So it makes the mounts as root, keeps the right to
become somebody else, and the cell's first program does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

from evo.sandbox.namespaces import CELL_USER
from evo.sandbox.plan import Mount

NAME = "bwrap"
_KINDS = {"read": "--ro-bind", "device": "--dev-bind", "link": "--symlink"}
_CAPABILITIES = {1: "CAP_DAC_OVERRIDE", 2: "CAP_DAC_READ_SEARCH"}


def arguments(
    mounts: Sequence[Mount], *, as_root: bool, capability: int, network: bool = False
) -> list[str]:
    """What bubblewrap is told, before the command.

    Args:
        mounts: Kinds, sources and targets, see `evo.sandbox.namespaces`.
        as_root: Whether the cell's first program becomes somebody else by itself.
        capability: Number of one that it keeps for that somebody; -1 for none.
        network: The machine's network stays.
    """
    found = ["--as-pid-1", "--unshare-ipc", "--unshare-pid"]
    found += [*([] if network else ["--unshare-net"]), "--unshare-uts", "--unshare-cgroup-try"]
    if as_root:
        found += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        if capability >= 0:
            found += ["--cap-add", _CAPABILITIES[capability]]
    else:
        found += ["--unshare-user", "--uid", str(CELL_USER), "--gid", str(CELL_USER)]
    made: set[str] = set()
    for kind, source, target in mounts:
        # Folders that it makes on the way would be closed to whom the cell becomes.
        for parent in reversed(PurePosixPath(target).parents[:-1]):
            if str(parent) not in made:
                made.add(str(parent))
                found += ["--perms", "0755", "--dir", str(parent)]
        made.add(target)
        found += _mount(kind, source, target)
    return [*found, "--remount-ro", "/"]


def _mount(kind: str, source: str, target: str) -> list[str]:
    if kind == "scratch":
        return ["--perms", "0755", "--size", str(int(source) << 20), "--tmpfs", target]
    if kind == "folder":
        return ["--perms", "0777", "--dir", target]
    if kind == "processes":
        return ["--proc", target]
    return [_KINDS[kind], source, target]


def encode(words: Sequence[str]) -> bytes:
    """As `--args` reads them: each ends with NUL."""
    return b"".join(os.fsencode(word) + b"\0" for word in words)
