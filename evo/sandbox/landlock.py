"""Landlock: which files a cell may touch, by the kernel's own access control for ordinary users.

Documentation/userspace-api/landlock.rst; the numbers of its three system calls are the same on
every architecture. A cell's first program imports this: it needs nothing but ctypes.
"""

from __future__ import annotations

import os
import stat

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
EVERYTHING = (1 << 16) - 1
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many of the rights above a version knows; all 16 from version 5 on."""
_NO_TCP = 0b11
"""Binding and connecting, from version 4 on."""
_OWN_SCOPE = 0b11
"""No abstract sockets and no signals beyond the cell, from version 6 on."""
SIGNALS_SINCE = 6


def version() -> int:
    """The version of Landlock that this kernel offers; 0 where there is none."""
    try:
        return _call(_CREATE, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(rights: dict[str, int], *, network: bool = False) -> None:
    """Leaves this process and its children nothing but these rights, for good.

    Args:
        rights: What is allowed beneath each path; what isn't there is passed over.
        network: TCP may be used.

    Raises:
        OSError: The kernel has no Landlock, or doesn't take it.
    """
    known = version()
    handled = (1 << _FILE_RIGHTS.get(known, 16)) - 1
    fields = [handled]
    if known >= 4:
        fields.append(0 if network else _NO_TCP)
    if known >= SIGNALS_SINCE:
        fields.append(_OWN_SCOPE)
    request = b"".join(one.to_bytes(8, "little") for one in fields)
    rules = _call(_CREATE, request, len(request), 0)
    try:
        for path, allowed in rights.items():
            _allow(rules, path, allowed & handled)
        _promise_no_new_privileges()
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, allowed: int) -> None:
    try:
        # A link is not followed: /lib may lead to /usr/lib, of which not all is allowed.
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISLNK(mode):
            return
        if not stat.S_ISDIR(mode):
            allowed &= _OF_FILES
        beneath = allowed.to_bytes(8, "little") + descriptor.to_bytes(4, "little")
        _call(_ADD_RULE, rules, _PATH_BENEATH, beneath, 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes | None) -> int:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    # Integers as long: a C vararg of 64 bits would otherwise be passed with a random upper half.
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *given)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result


def _promise_no_new_privileges() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
