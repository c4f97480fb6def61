"""The filter of system calls that every cell runs behind: seccomp in BPF, for x86-64 and arm64.

It refuses what a training script has no use for (networks, other processes, mounts, the kernel's
newer and less tried corners) and what Landlock can't see. System calls that are newer than this
list don't exist in a cell. The numbers are the kernel's (syscall_64.tbl and asm-generic/unistd.h);
the filter's layout is Documentation/userspace-api/seccomp_filter.rst.

A cell's first program imports this: it needs nothing but ctypes, and that only to install.
"""

from __future__ import annotations

import os

EPERM, ENOTTY, ENOSYS = 1, 25, 38
KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
NEWEST = 462
"""The highest number that was looked at (mseal, Linux 6.10); higher ones aren't there."""
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""By `uname -m`: the column of the tables, and the kernel's name of the architecture."""

_N = tuple[int | None, int | None]
REFUSED: dict[str, _N] = {
    # Other processes: their memory, descriptors, priorities and limits.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "perf_event_open": (298, 241),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Namespaces and mounts.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    # The kernel and the machine.
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "vhangup": (153, 58),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "personality": (135, 92),
    # Files by another way than their path, and watching what others do with theirs.
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # What outlives a process and belongs to no file system.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "memfd_secret": (447, 447),
    # The page cache, through which one cell could leave word for the next.
    "mincore": (27, 232),
    "cachestat": (451, 451),
    "remap_file_pages": (216, 234),
}
MISSING: dict[str, _N] = {
    # Callers have another way when these don't exist. A filter can't read clone3's arguments.
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "preadv2": (327, 286),
}
PRETENDED: dict[str, _N] = {"fadvise64": (221, 223), "readahead": (187, 213)}
"""Advice about the page cache: taken with thanks, and forgotten."""
SHARED_MISSING: dict[str, _N] = {"openat2": (437, 437)}
"""`open` with arguments that a filter can't read."""
SHARED_REFUSED: dict[str, _N] = {
    "truncate": (76, 45),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
}
"""Refused where the machine's own files are in view: Landlock sees these late or never."""
SHARED_PRETENDED: dict[str, _N] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setsid": (112, 157),
    "setpgid": (109, 154),
}
"""Without effect where the machine's own files and processes are in view: Landlock doesn't see who
owns a file, and a process that can't leave its group can't outlive it."""
SIGNALS: dict[str, _N] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}
NAMED: dict[str, _N] = {"bind": (49, 200), "listen": (50, 201)}
"""Giving a socket a name: CUDA asks for it and gives up where it is refused."""
NETWORK: dict[str, _N] = {
    "connect": (42, 203),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
}
ASKED: dict[str, _N] = {
    "clone": (56, 220),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "ioctl": (16, 29),
    "madvise": (28, 233),
    "fcntl": (72, 25),
    "prlimit64": (302, 261),
    "prctl": (157, 167),
    "open": (2, None),
    "openat": (257, 56),
    "rt_sigaction": (13, 134),
}
"""Whether these are refused depends on their arguments."""
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
