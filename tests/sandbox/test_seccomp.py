"""The filter of system calls, run through an interpreter of its own for both architectures."""

import re
from pathlib import Path

import pytest

from evo.sandbox import seccomp, syscalls
from evo.sandbox.seccomp import ALLOW, ARCHITECTURES, ENOSYS, ENOTTY, EPERM, ERRNO, KILL

TABLES = (
    syscalls.REFUSED, syscalls.MISSING, syscalls.PRETENDED, syscalls.SHARED_REFUSED,
    syscalls.SHARED_PRETENDED, syscalls.SHARED_MISSING, syscalls.SIGNALS, syscalls.NETWORK,
    syscalls.NAMED, syscalls.ASKED,
)  # fmt: skip
HEADERS = (
    (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    (1, Path("/usr/include/asm-generic/unistd.h")),
)
REFUSED, GONE, PRETENDED = ERRNO | EPERM, ERRNO | ENOSYS, ERRNO
MACHINES = tuple(ARCHITECTURES)


def decide(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a filter says of a call, by the rules of classic BPF; every path must end."""
    data = number.to_bytes(4, "little") + architecture.to_bytes(4, "little") + bytes(8)
    data += b"".join(one.to_bytes(8, "little") for one in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    at, register = 0, 0
    while True:
        code = program[8 * at : 8 * at + 8]
        operation, if_true, if_false = int.from_bytes(code[:2], "little"), code[2], code[3]
        operand = int.from_bytes(code[4:], "little")
        at += 1
        if operation == 0x06:
            return operand
        if operation == 0x20:
            register = int.from_bytes(data[operand : operand + 4], "little")
        elif operation == 0x54:
            register &= operand
        else:
            holds = {0x15: register == operand, 0x25: register > operand,
                     0x45: bool(register & operand)}[operation]  # fmt: skip
            at += if_true if holds else if_false


def answer(
    machine: str,
    name: str,
    *arguments: int,
    shared: bool = False,
    unix: bool = False,
    pid: int = 0,
    network: bool = False,
) -> int:
    program = seccomp.program(machine, shared=shared, unix=unix, own_pid=pid, network=network)
    column, architecture = ARCHITECTURES[machine]
    number = next(table[name][column] for table in TABLES if name in table)
    assert number is not None
    return decide(program, architecture, number, *arguments)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("pid", [0, 4321])
def test_every_call_gets_an_answer(machine: str, shared: bool, pid: int) -> None:
    program = seccomp.program(machine, shared=shared, unix=True, own_pid=pid)
    assert len(program) // 8 < 4096
    answers = {
        decide(program, ARCHITECTURES[machine][1], number) for number in (*range(600), 2**30 + 41)
    }
    assert answers <= {ALLOW, REFUSED, GONE, PRETENDED}


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_as_another_architecture_end_the_process(machine: str) -> None:
    program = seccomp.program(machine, shared=False, unix=False)
    assert decide(program, 0x40000003, 102) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_newer_than_the_list_doesnt_exist(machine: str) -> None:
    program = seccomp.program(machine, shared=False, unix=False)
    architecture = ARCHITECTURES[machine][1]
    for number in (463, 500, 2**30, 2**30 + 41, 2**32 - 1):
        assert decide(program, architecture, number) == GONE
    assert decide(program, architecture, 462) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_decide_where_they_must(machine: str) -> None:
    assert answer(machine, "clone", 0x11) == ALLOW
    assert answer(machine, "clone", 0x10000011) == REFUSED
    assert answer(machine, "socket", 1, unix=True) == ALLOW
    assert answer(machine, "socket", 1, unix=False) == REFUSED
    for family in (2, 10, 16, 17, 40):
        assert answer(machine, "socket", family, unix=True) == REFUSED
    assert answer(machine, "prlimit64", 0) == ALLOW
    assert answer(machine, "prlimit64", 77) == REFUSED
    assert answer(machine, "ioctl", 0, 0x5413) == ALLOW
    assert answer(machine, "ioctl", 0, 0x5412) == REFUSED
    assert answer(machine, "rt_sigaction", 17, 0) == ALLOW
    assert answer(machine, "rt_sigaction", 10, 1 << 32) == ALLOW
    for action in (1, 1 << 32):
        assert answer(machine, "rt_sigaction", 17, action) == PRETENDED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("pid", [0, 4321])
def test_what_file_systems_keep_of_a_file_is_out_of_reach(machine: str, pid: int) -> None:
    flags, version, project, verity, clone = (
        0x40086602, 0x40087602, 0x401C5820, 0x40806685, 0x40049409,
    )  # fmt: skip
    for request in (flags, version, project, verity, clone, flags | 1 << 32):
        assert answer(machine, "ioctl", 3, request, pid=pid) == ERRNO | ENOTTY
    of_a_gpu, unified_memory, not_inherited = 0xC020462A, 0x30000001, 0x5451
    for request in (of_a_gpu, unified_memory, not_inherited):
        assert answer(machine, "ioctl", 3, request, pid=pid) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_pages_of_a_file_are_not_forgotten_on_demand(machine: str) -> None:
    for advice in (20, 21):
        assert answer(machine, "madvise", 0, 4096, advice) == PRETENDED
    for advice in (1, 4, 8, 14, 22):
        assert answer(machine, "madvise", 0, 4096, advice) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_a_shared_view_costs_more_calls(machine: str) -> None:
    for name in ("connect", "accept4", "sendmsg", "truncate", "inotify_add_watch"):
        assert answer(machine, name, shared=True, unix=True) == REFUSED
    for name in ("bind", "listen"):
        assert answer(machine, name, shared=True) == REFUSED
        assert answer(machine, name, shared=True, unix=True) == PRETENDED
    for name in ("fchmodat", "setsid", "setpgid", "utimensat", "fsetxattr"):
        assert answer(machine, name, shared=True) == PRETENDED
    assert answer(machine, "socketpair", 1, 1 | 0o2000000, shared=True) == ALLOW
    assert answer(machine, "socketpair", 1, 2 | 0o2000000, shared=True) == REFUSED
    assert answer(machine, "openat", 3, 0, 0o1000, shared=True) == REFUSED
    for flags in (0, 0o1001, 0o1102, 0o2000000):
        assert answer(machine, "openat", 3, 0, flags, shared=True) == ALLOW
    assert answer(machine, "openat2", shared=True) == GONE
    assert answer(machine, "sendto", 3, 0, 1, 0, 0, shared=True) == ALLOW
    for address in (1, 1 << 32):
        assert answer(machine, "sendto", 3, 0, 1, 0, address, shared=True) == REFUSED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("shared", [False, True])
def test_with_a_network_there_are_the_internets_sockets_and_no_others(
    machine: str, shared: bool
) -> None:
    def said(name: str, *arguments: int) -> int:
        return answer(machine, name, *arguments, shared=shared, network=True)

    for family in (2, 10):
        assert said("socket", family, 1, 0) == ALLOW
    assert said("socket", 16, 3, 0) == ALLOW, "it asks for its own addresses"
    for family, protocol in ((16, 15), (16, 9), (1, 0), (17, 0), (40, 0), (38, 0)):
        assert said("socket", family, 1, protocol) == REFUSED
    assert said("socketpair", 1, 1) == ALLOW
    assert said("socketpair", 1, 2) == REFUSED
    for name in ("connect", "bind", "listen", "accept4", "sendmsg"):
        assert said(name) == ALLOW
    assert said("sendto", 3, 0, 1, 0, 1) == ALLOW
    assert said("ptrace") == REFUSED
    assert (said("prctl", 1, 9), said("prctl", 1, 0), said("prctl", 15)) == (
        0x50000,
        0x50000,
        ALLOW,
    )
    assert said("openat", 3, 0, 0o1000) == (REFUSED if shared else ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
def test_where_landlock_leaves_signals_alone_they_go_to_oneself(machine: str) -> None:
    for name in ("kill", "tgkill", "rt_sigqueueinfo"):
        assert answer(machine, name, 4321, shared=True, pid=4321) == ALLOW
        assert answer(machine, name, 0, shared=True, pid=4321) == ALLOW
        assert answer(machine, name, 1, shared=True, pid=4321) == REFUSED
        assert answer(machine, name, 2**32 - 1, shared=True, pid=4321) == REFUSED
        assert answer(machine, name, 0, shared=True, pid=4321) == ALLOW
    assert answer(machine, "fcntl", 3, 8, shared=True, pid=4321) == REFUSED


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.program("riscv64", shared=False, unix=False)


@pytest.mark.parametrize(("column", "header"), HEADERS)
def test_the_numbers_are_the_kernels(column: int, header: Path) -> None:
    if not header.exists():
        pytest.skip("the kernel's headers aren't installed")
    lines = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)\s*$", header.read_text(), re.M)
    known = {name: int(number) for name, number in lines}
    assert len(known) > 250
    for table in TABLES:
        for name, numbers in table.items():
            if name in known:
                assert numbers[column] == known[name], name
