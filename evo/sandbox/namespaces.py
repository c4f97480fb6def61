"""Walls of our own making: fresh namespaces, and a file system that holds what a plan names.

`unshare(2)`, `mount(2)`, `pivot_root(2)`, `mount_setattr(2)`. The kinds of mounts in a plan are
`read` (a file or folder, read-only), `device` (the same, usable), `link`, `folder`, `scratch` (a
small file system in memory, its size in megabytes for a source) and `processes` (/proc).
A cell's first program imports this: it needs nothing but ctypes.
"""

from __future__ import annotations

import os

_NEW_USER, _NEW_PID = 0x10000000, 0x20000000
_MOUNTS_HOST_IPC_CGROUPS = 0x00020000 | 0x04000000 | 0x08000000 | 0x02000000
_NEW_NETWORK = 0x40000000
_READ_ONLY, _NO_SUID, _NO_DEV, _NO_EXEC, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
_DETACH = 2
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_OLD = "/.old"
CELL_USER = 1000
"""Who an ordinary user is inside: anybody but root."""


def enter(*, new_user: bool, base: str, network: bool = False) -> None:
    """Leaves the machine's namespaces; the next child is the first process of the new ones.

    Args:
        new_user: By way of a user namespace, for who isn't root.
        base: An existing folder, covered for a moment while mounts are made.
        network: The machine's network stays.

    Raises:
        OSError: The kernel, or somebody's rules, don't allow it.
    """
    user, group = os.geteuid(), os.getegid()
    wanted = _MOUNTS_HOST_IPC_CGROUPS | _NEW_PID | (0 if network else _NEW_NETWORK)
    _call("unshare", wanted | (_NEW_USER if new_user else 0))
    if new_user:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{CELL_USER} {user} 1")
        _write("/proc/self/gid_map", f"{CELL_USER} {group} 1")
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _mount("tmpfs", base, "tmpfs", _NO_SUID | _NO_DEV, "mode=0755,size=4m,nr_inodes=16384")
    os.mkdir(base + _OLD)
    _call("pivot_root", base.encode(), (base + _OLD).encode())
    os.chdir("/")


def furnish(mounts: list[tuple[str, str, str]], owner: int) -> None:
    """Makes the file system of a plan, and gives up the machine's own; run by the first process.

    Args:
        mounts: Kinds, sources and targets, outer folders first.
        owner: Whom scratch folders are given to; -1 for nobody else.

    Raises:
        OSError: A mount isn't allowed, or a source isn't there.
    """
    for kind, source, target in mounts:
        _make_parents(target)
        if kind == "link":
            os.symlink(source, target)
        elif kind == "folder":
            os.makedirs(target, exist_ok=True)
            if owner >= 0:
                os.chown(target, owner, owner)
        elif kind == "processes":
            _folder(target)
            _mount("proc", target, "proc", _NO_SUID | _NO_DEV | _NO_EXEC)
        elif kind == "scratch":
            _folder(target)
            size = f"mode=0755,size={source}m,nr_inodes={int(source) * 64}"
            _mount("tmpfs", target, "tmpfs", _NO_SUID | _NO_DEV, size)
        else:
            _bind(_OLD + source, target, device=kind == "device")
    _call("umount2", _OLD.encode(), _DETACH)
    os.rmdir(_OLD)
    _mount(None, "/", None, _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | _NO_DEV)


def _bind(source: str, target: str, *, device: bool) -> None:
    if os.path.isdir(source):
        _folder(target)
    elif not os.path.lexists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    _mount(source, target, None, _BIND | _RECURSIVE)
    attributes = _NO_SUID | (0 if device else _READ_ONLY | _NO_DEV)
    request = b"".join(one.to_bytes(8, "little") for one in (attributes, 0, 0, 0))
    _syscall(_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, request, len(request))


def _folder(path: str) -> None:
    os.makedirs(path, exist_ok=True)


def _make_parents(target: str) -> None:
    _folder(os.path.dirname(target))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    given = [one.encode() if one is not None else None for one in (source, target, kind)]
    _call("mount", *given, flags, data.encode() or None)


def _call(name: str, *arguments: int | bytes | None) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if getattr(libc, name)(*given) < 0:
        raise _error(ctypes.get_errno(), name, arguments)


def _syscall(number: int, *arguments: int | bytes | None) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    if libc.syscall(ctypes.c_long(number), *given) < 0:
        raise _error(ctypes.get_errno(), "mount_setattr", arguments)


def _error(number: int, name: str, arguments: tuple[int | bytes | None, ...]) -> OSError:
    where = next((one.decode() for one in reversed(arguments) if isinstance(one, bytes)), "")
    return OSError(number, f"{name}: {os.strerror(number)}", where)
