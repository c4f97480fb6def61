"""The first program that runs in a cell: raises the walls around itself and becomes the command.

It is a program of its own because the code between fork and exec of a threaded parent must not be
Python. It imports next to nothing: its start is paid by every trial.

The order matters. Namespaces and mounts need rights that are given up after them; who we are is
given up before Landlock and the filter, which nobody can take off again. What stays outside is a
guard without walls (where the machine's processes are shared), or the first process of the new
namespaces, which buries orphans behind the same walls as the candidate.
"""

from __future__ import annotations

import marshal
import os
import resource
import select
import sys

from evo.sandbox import landlock, namespaces, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from evo.sandbox.plan import Plan

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAP_AMBIENT, _PR_CAPBSET_DROP = 1, 4, 47, 24
_PR_SET_KEEPCAPS, _RAISE_AMBIENT, _LAST_CAPABILITY = 8, 2, 63
_CAPABILITY_VERSION = 0x20080522
_SIGKILL, _LOST = 9, 1
_BURY_MILLISECONDS = 500
STATUS_OF_SIGNALS = 128
"""A cell whose candidate died of signal N ends with this plus N, as a shell would say it."""


def main() -> None:
    """`launch DESCRIPTOR`: the plan is read from there."""
    plan = _read_plan(int(sys.argv[1]))
    if plan["shared"] and hasattr(os, "pidfd_open"):
        child = os.fork()
        if child:
            _watch_over(child, plan["lifeline"])
    elif plan["mounts"] is not None:
        network = plan.get("network", False)
        namespaces.enter(new_user=plan["new_user"], base="/tmp", network=network)
        first = os.fork()
        if first:
            _close_everything()
            os._exit(_code(os.waitpid(first, 0)[1]))
        namespaces.furnish(plan["mounts"], plan["user"])
    _give_up_rights(plan)
    if not plan["shared"]:
        # Whoever is behind the same walls may look at its neighbours, but not at this one.
        _prctl(_PR_SET_DUMPABLE, 0)
        candidate = os.fork()
        if candidate:
            _watch_over(candidate, plan["lifeline"])
    _become(plan["command"])


def _read_plan(descriptor: int) -> Plan:
    with os.fdopen(descriptor, "rb") as file:
        plan: Plan = marshal.load(file)
    for stream, given in enumerate(plan["streams"]):
        os.dup2(given, stream)
        os.close(given)
    os.set_inheritable(plan["lifeline"], False)
    return plan


def _watch_over(candidate: int, lifeline: int) -> None:
    """Ends with the candidate, or when the referee dies, and takes everybody along.

    The first process of a namespace does so by ending, and has orphans to bury; a guard in the
    machine's own namespace ends the session, which nobody behind the filter can leave.
    """
    _close_everything(but=lifeline)
    watched = os.pidfd_open(candidate)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(watched, select.POLLIN)
    first = os.getpid() == 1
    while not (ready := [descriptor for descriptor, _ in poll.poll(_BURY_MILLISECONDS)]):
        while first and _bury_one(candidate):
            pass
    if lifeline in ready and not first:
        os.killpg(0, _SIGKILL)
    os._exit(_code(os.waitpid(candidate, 0)[1]) if watched in ready else _LOST)


def _bury_one(candidate: int) -> bool:
    """Takes one orphan that has ended off the process table, if there is one."""
    gone = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if gone is None or gone.si_pid == candidate:
        return False
    os.waitpid(gone.si_pid, 0)
    return True


def _close_everything(but: int = -1) -> None:
    """The pipes end when the candidate's own ends do."""
    os.closerange(0, max(but, 0))
    os.closerange(but + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else STATUS_OF_SIGNALS - code


def _give_up_rights(plan: Plan) -> None:
    """Takes the limits and raises the walls; in the order in which the rights to do so go."""
    _be_the_first_to_die()
    for descriptor in plan["groups"]:
        os.write(descriptor, b"0")
        os.close(descriptor)
    for kind, most in plan["limits"]:
        _cap(kind, most)
    os.umask(0o022)
    user = plan["user"]
    if user >= 0:
        if plan["shared"]:
            os.chown(plan["home"], user, user)
        _become_user(user, plan["capability"])
    _die_with_the_parent()
    os.chdir(plan["home"])
    if "PWD" in os.environ:  # from bubblewrap, which doesn't know that this program moves on
        os.environ["PWD"] = plan["home"]
    _write_files(plan["files"])
    if plan["merge_output"]:
        os.dup2(2, 1)
    if plan["landlock"]:
        landlock.restrict(_rights(plan), network=plan.get("network", False))
    _filter(plan)


def _be_the_first_to_die() -> None:
    """When the machine runs out of memory, it isn't the referee that goes."""
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    os.write(descriptor, b"1000")
    os.close(descriptor)


def _become_user(user: int, capability: int) -> None:
    """Becomes somebody who may do nothing, but for one capability at most."""
    for one in range(_LAST_CAPABILITY):
        if one != capability:
            _prctl(_PR_CAPBSET_DROP, one)
    _prctl(_PR_SET_KEEPCAPS, int(capability >= 0))
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _set_capabilities(1 << capability if capability >= 0 else 0)
    if capability >= 0:
        _prctl(_PR_CAP_AMBIENT, _RAISE_AMBIENT, capability)
    if os.getresuid() != (user, user, user):
        sys.exit("evo: the cell couldn't give up root")


def _set_capabilities(kept: int) -> None:
    import ctypes

    header = _CAPABILITY_VERSION.to_bytes(4, "little") + bytes(4)
    word = kept.to_bytes(4, "little")
    ctypes.CDLL(None).capset(header, word * 3 + bytes(12))


def _rights(plan: Plan) -> dict[str, int]:
    rights = dict.fromkeys(plan["readable"], landlock.READ)
    rights |= dict.fromkeys(plan["devices"], landlock.DEVICE)
    rights |= dict.fromkeys(plan["writable"], landlock.EVERYTHING)
    # A rule is for a folder as it is now: in a shared view, later processes have none.
    own = f"/proc/{os.getpid()}" if plan["shared"] else "/proc"
    rights[own] = landlock.READ
    if plan["writes_own_process"]:
        rights[own] |= landlock.WRITE_FILE | landlock.TRUNCATE
    return rights


def _filter(plan: Plan) -> None:
    shared = plan["shared"]
    alone = shared and landlock.version() < landlock.SIGNALS_SINCE
    try:
        seccomp.install(
            seccomp.program(
                os.uname().machine,
                shared=shared,
                unix=plan["unix"],
                own_pid=os.getpid() if alone else 0,
                network=plan.get("network", False),
            )
        )
    except (KeyError, OSError):
        if plan["must_filter"]:
            raise


def _write_files(files: list[tuple[str, int]]) -> None:
    for name, descriptor in files:
        target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        while chunk := os.read(descriptor, 1 << 20):
            os.write(target, chunk)
        os.close(target)
        os.close(descriptor)


def _become(command: list[str]) -> None:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _cap(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (limit, limit))


def _die_with_the_parent() -> None:
    """Whoever watches over this process takes it along; said after the change of user, which would
    undo it."""
    parent = os.getppid()
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, *arguments: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    given = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    ctypes.CDLL(None).prctl(option, *given)
