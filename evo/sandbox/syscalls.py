"""System calls that a cell's filter has an answer of its own for, by what the answer is.

Each has its number on x86-64 and on arm64, None where there is no such call. The numbers are the
kernel's (syscall_64.tbl and asm-generic/unistd.h).
"""

from __future__ import annotations

NEWEST = 462
"""The highest number that was looked at (mseal, Linux 6.10); higher ones aren't there."""
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
PRETENDED: dict[str, _N] = {
    # Advice about the page cache.
    "fadvise64": (221, 223),
    "readahead": (187, 213),
    # Whoever may write to a device may date its node, which is the machine's: later cells see it.
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
"""Taken with thanks, and forgotten."""
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
