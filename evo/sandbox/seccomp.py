"""The filter of system calls that every cell runs behind: seccomp in BPF, for x86-64 and arm64.

It refuses what a training script has no use for (networks, other processes, mounts, the kernel's
newer and less tried corners) and what Landlock can't see. System calls that are newer than this
list (`syscalls`) don't exist in a cell. The filter's layout is
Documentation/userspace-api/seccomp_filter.rst.

A cell's first program imports this: it needs nothing but ctypes, and that only to install.
"""

from __future__ import annotations

import os

from evo.sandbox.syscalls import (
    ASKED,
    MISSING,
    NAMED,
    NETWORK,
    NEWEST,
    PRETENDED,
    REFUSED,
    SHARED_MISSING,
    SHARED_PRETENDED,
    SHARED_REFUSED,
    SIGNALS,
)

EPERM, ENOTTY, ENOSYS = 1, 25, 38
KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""By `uname -m`: the column of the tables, and the kernel's name of the architecture."""

_NEW_NAMESPACES = 0x7E020080
_AF_UNIX, _SOCK_TYPE, _SOCK_DGRAM = 1, 0xF, 2
_AF_INET, _AF_INET6, _AF_NETLINK, _NETLINK_ROUTE = 2, 10, 16, 0
_PUSH_INPUT, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP = 0x5412, 0x541C, 0x8901, 0x8902
_ATTRIBUTES = (ord("f"), ord("v"), ord("X"), 0x94, 0xF5)
"""Kinds of ioctl by which file systems keep attributes, versions and projects of files, which their
owner may change through a descriptor that only reads (include/uapi/linux/fs.h, btrfs.h, f2fs.h)."""
_MADV_COLD, _MADV_PAGEOUT = 20, 21
"""Whoever owns a file may have its pages forgotten by these."""
_F_SETOWN, _F_SETOWN_EX = 8, 15
_O_TRUNC, _O_ACCMODE = 0o1000, 0o3
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SIGCHLD = 17

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ABOVE, _JUMP_IF_ANY, _AND, _RETURN = (
    0x20,
    0x15,
    0x25,
    0x45,
    0x54,
    0x06,
)
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4


def program(
    machine: str, *, shared: bool, unix: bool, own_pid: int = 0, network: bool = False
) -> bytes:
    """The filter as the kernel takes it: eight bytes an instruction.

    Args:
        machine: `uname -m`.
        shared: The machine's own files and processes are in view of the cell, which has no
            namespaces of its own.
        unix: Sockets of the family AF_UNIX may be made. In a cell of its own namespaces they lead
            nowhere and are free; in a shared one they can be made, are told that they have a name
            without getting one, and nothing more, which is what CUDA needs.
        own_pid: Signals may be sent to this process only, for kernels whose Landlock doesn't
            restrict them; 0 leaves signals alone.
        network: Sockets of the Internet's families may be made and used.

    Raises:
        KeyError: No table for this machine.
    """
    column, architecture = ARCHITECTURES[machine]
    code = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_JUMP_IF_EQUAL, architecture, 1, 0),
        _step(_RETURN, KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_IF_ABOVE, NEWEST, 0, 1),
        _step(_RETURN, ERRNO | ENOSYS),
    ]
    refused, pretended, missing = REFUSED, PRETENDED, MISSING
    if shared:
        refused, pretended = refused | SHARED_REFUSED, pretended | SHARED_PRETENDED
        missing = missing | SHARED_MISSING
    if shared and not network:
        refused = refused | NETWORK | ({} if unix else NAMED)
        pretended = pretended | (NAMED if unix else {})
    for table, result in ((refused, ERRNO | EPERM), (missing, ERRNO | ENOSYS), (pretended, ERRNO)):
        for numbers in table.values():
            _when(code, numbers[column], [_step(_RETURN, result)])
    for name, body in _asked(shared, unix, own_pid, network).items():
        _when(code, ASKED[name][column], body)
    if own_pid:
        for numbers in SIGNALS.values():
            mine = _refuse_unless_equal(0, (0, own_pid))
            _when(code, numbers[column], mine)
    code.append(_step(_RETURN, ALLOW))
    return b"".join(code)


def install(filter_program: bytes) -> None:
    """Puts this process and all its children behind the filter, for good.

    Raises:
        OSError: The kernel doesn't take it.
    """
    import ctypes

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    given = Program(len(filter_program) // 8, filter_program)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, 2, ctypes.byref(given), 0, 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _asked(shared: bool, unix: bool, own_pid: int, network: bool = False) -> dict[str, list[bytes]]:
    """What is looked at in the arguments, by system call."""
    allow, refuse = _step(_RETURN, ALLOW), _step(_RETURN, ERRNO | EPERM)
    socket = _refuse_unless_equal(0, (_AF_UNIX,)) if unix else [refuse]
    if network:
        socket = _of_the_internet(unix)
    rules = {
        "clone": [_argument(0), _step(_JUMP_IF_ANY, _NEW_NAMESPACES, 0, 1), refuse, allow],
        "socket": socket,
        "ioctl": _of_no_file((_PUSH_INPUT, _TIOCLINUX)),
        "madvise": _forgotten_if_equal(2, (_MADV_COLD, _MADV_PAGEOUT)),
        "prlimit64": _refuse_unless_equal(0, (0,)),
        "prctl": _refuse_if_equal(0, (_PR_SET_PDEATHSIG,)),
    }
    if network:
        # Who starts commands wants them to die with itself, and they do, in any case.
        rules["prctl"] = [
            _argument(0),
            _step(_JUMP_IF_EQUAL, _PR_SET_PDEATHSIG, 0, 1),
            _step(_RETURN, ERRNO),
            allow,
        ]
    else:
        # Children of whoever ignores their end are buried at once, and their CPU time with them.
        # So what is done at SIGCHLD can be asked, and set without effect.
        rules["rt_sigaction"] = [
            _argument(0),
            _step(_JUMP_IF_EQUAL, _SIGCHLD, 1, 0),
            allow,
            *_unless_null(1, _step(_RETURN, ERRNO)),
        ]
    if shared or network:
        # A datagram socket can be pointed at any address later on, even one of a pair.
        rules["socketpair"] = [
            _argument(1),
            _step(_AND, _SOCK_TYPE),
            _step(_JUMP_IF_EQUAL, _SOCK_DGRAM, 0, 1),
            refuse,
            allow,
        ]
    if shared and not network:
        rules["sendto"] = _unless_null(4, refuse)
    if shared:
        # Opened to be read and yet emptied: Landlock sees that from version 3 on.
        rules["open"], rules["openat"] = _refuse_emptying(1), _refuse_emptying(2)
    if own_pid:
        rules["fcntl"] = _refuse_if_equal(1, (_F_SETOWN, _F_SETOWN_EX))
        rules["ioctl"] = _of_no_file((_PUSH_INPUT, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP))
    return rules


def _of_the_internet(unix: bool) -> list[bytes]:
    """Families of sockets: both of the Internet, and what tells of one's own addresses."""
    families = (_AF_INET, _AF_INET6, *((_AF_UNIX,) if unix else ()))
    return [
        _argument(0),
        _step(_JUMP_IF_EQUAL, _AF_NETLINK, 0, 4),
        _argument(2),
        _step(_JUMP_IF_EQUAL, _NETLINK_ROUTE, 1, 0),
        _step(_RETURN, ERRNO | EPERM),
        _step(_RETURN, ALLOW),
        *_refuse_unless_equal(0, families),
    ]


def _refuse_emptying(index: int) -> list[bytes]:
    return [
        _argument(index),
        _step(_AND, _O_TRUNC | _O_ACCMODE),
        _step(_JUMP_IF_EQUAL, _O_TRUNC, 0, 1),
        _step(_RETURN, ERRNO | EPERM),
        _step(_RETURN, ALLOW),
    ]


def _of_no_file(refused: tuple[int, ...]) -> list[bytes]:
    """An ioctl: none of these, and none that is for a file system, which says it knows no such."""
    body = [_argument(1), _step(_AND, 0xFF00)]
    for kind in _ATTRIBUTES:
        body += [_step(_JUMP_IF_EQUAL, kind << 8, 0, 1), _step(_RETURN, ERRNO | ENOTTY)]
    return [*body, *_refuse_if_equal(1, refused)]


def _forgotten_if_equal(index: int, values: tuple[int, ...]) -> list[bytes]:
    """Taken with thanks, and without effect."""
    body = _refuse_if_equal(index, values)
    return [*body[:-1], _step(_RETURN, ERRNO)]


def _refuse_if_equal(index: int, values: tuple[int, ...]) -> list[bytes]:
    body = [_argument(index)]
    for position, value in enumerate(values):
        body.append(_step(_JUMP_IF_EQUAL, value, len(values) - position, 0))
    return [*body, _step(_RETURN, ALLOW), _step(_RETURN, ERRNO | EPERM)]


def _refuse_unless_equal(index: int, values: tuple[int, ...]) -> list[bytes]:
    body = [_argument(index)]
    for position, value in enumerate(values):
        body.append(_step(_JUMP_IF_EQUAL, value, len(values) - position, 0))
    return [*body, _step(_RETURN, ERRNO | EPERM), _step(_RETURN, ALLOW)]


def _unless_null(index: int, answer: bytes) -> list[bytes]:
    return [
        _argument(index),
        _step(_JUMP_IF_EQUAL, 0, 0, 3),
        _step(_LOAD, 16 + 8 * index + 4),
        _step(_JUMP_IF_EQUAL, 0, 0, 1),
        _step(_RETURN, ALLOW),
        answer,
    ]


def _argument(index: int) -> bytes:
    """Loads the low half of an argument; both architectures are little-endian."""
    return _step(_LOAD, 16 + 8 * index)


def _when(code: list[bytes], number: int | None, body: list[bytes]) -> None:
    """Appends what is done for one system call; the body always returns."""
    if number is not None:
        code.append(_step(_JUMP_IF_EQUAL, number, 0, len(body)))
        code.extend(body)


def _step(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return (
        operation.to_bytes(2, "little") + bytes((if_true, if_false)) + operand.to_bytes(4, "little")
    )
