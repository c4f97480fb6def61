"""The one way in which a candidate's code starts: a cell, in a sandbox of some tier."""

from __future__ import annotations

import contextlib
import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evo.errors import ArenaError
from evo.sandbox import bubblewrap, dates, plan, scratch
from evo.sandbox.cells import Cell, adopt_orphans
from evo.sandbox.cgroups import Cage
from evo.sandbox.handover import Handover
from evo.sandbox.harness import SOURCE as HARNESS
from evo.sandbox.harness import staged
from evo.sandbox.log import Log
from evo.sandbox.plan import PRIVATE_HOME, Limits, Plan, Tier
from evo.sandbox.reach import PASSED_ON, Reach, reach

__all__ = [
    "HARNESS", "Cell", "Limits", "OpenSandbox", "Sandbox", "Tier", "TierSandbox", "adopt_orphans",
]  # fmt: skip

_START = "from evo.sandbox.launch import main; main()"
CAGE_EXTRA_MB = 64
"""What the launcher and its like may hold beside the candidate."""


class Sandbox(Protocol):
    """Starts cells."""

    def start(
        self,
        command: Sequence[str],
        *,
        limits: Limits,
        threads: int,
        log: Path | None = None,
        gpu: str = "",
        files: Mapping[str, str] | None = None,
        merge_output: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Cell:
        """Starts a process in a scratch folder of its own; it dies with this process at the latest.

        Args:
            command: The program and its arguments; `python` stands for this interpreter.
            limits: What it may use.
            threads: How many threads numerical libraries may start.
            log: Where what it prints is kept; None keeps the end in memory only.
            gpu: Index of the GPU that it may see; empty means none.
            files: Texts by name, put into the scratch folder before the start.
            merge_output: Whether its standard output goes to the log too, not to `outbound`.
            variables: Added to its environment.

        Raises:
            ArenaError: It can't be started, for a reason that isn't the candidate's.
        """
        ...

    def settle(self, gpu: str = "") -> None:
        """Sees to it that what cells read in the next hours leaves no dates for others to see.

        It may take seconds, so nobody's clock should run.

        Args:
            gpu: See `start`.
        """
        ...


class TierSandbox:
    """Starts cells behind the walls of one tier.

    Args:
        tier: Which; `evo.sandbox.walls` chooses it.
        readable: Files and folders that cells may read beside Python and the harness.
        network: Whether cells may use the machine's network: never for a trial.
    """

    def __init__(self, tier: Tier, readable: Sequence[str] = (), *, network: bool = False) -> None:
        self.tier, self._readable, self._network = tier, tuple(readable), network
        self._reaches: dict[bool, Reach] = {}

    def start(
        self,
        command: Sequence[str],
        *,
        limits: Limits,
        threads: int,
        log: Path | None = None,
        gpu: str = "",
        files: Mapping[str, str] | None = None,
        merge_output: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> Cell:
        with contextlib.ExitStack() as undo, Handover() as handover:
            try:
                folder = None if self.tier.private else scratch.make()
                if folder is not None:
                    undo.callback(scratch.remove, folder)
                home = PRIVATE_HOME if folder is None else str(folder)
                cage = Cage.build(limits.memory_mb + CAGE_EXTRA_MB, limits.tasks)
                undo.callback(cage.remove)
                drawn = plan.draw(
                    self.tier, self._reach(gpu), limits, _words(command), home, gpu=bool(gpu),
                    network=self._network,
                )  # fmt: skip
                drawn["merge_output"] = merge_output
                drawn["groups"] = [handover.give(descriptor) for descriptor in cage.open()]
                drawn["files"] = [
                    (name, handover.text(text.encode())) for name, text in (files or {}).items()
                ]
                theirs_in, inbound = handover.inbound()
                theirs_out, outbound = handover.outbound()
                drawn["streams"] = [theirs_in, theirs_out]
                drawn["lifeline"], lifeline = handover.inbound()
                variables = environment(home, threads, gpu) | dict(variables or {})
                process = _launch(self.tier, drawn, handover, variables)
            except OSError as error:
                raise ArenaError(
                    f"a trial can't be started: {error}; free some room and go on"
                ) from error
            undo.pop_all()
            handover.keep(inbound, outbound, lifeline)
        return Cell(
            process=process,
            tier=self.tier,
            log=_log_of(process, limits.log_bytes, log),
            inbound=inbound,
            outbound=outbound,
            lifeline=lifeline,
            limits=limits,
            scratch=folder,
            cage=cage,
        )

    def settle(self, gpu: str = "") -> None:
        if self.tier is Tier.LANDLOCK:
            dates.settle_once(self._reach(gpu).readable, dates.stamps())

    def _reach(self, gpu: str) -> Reach:
        wanted = bool(gpu)
        if wanted not in self._reaches:
            try:
                self._reaches[wanted] = reach(self._readable, gpu=wanted, network=self._network)
            except FileNotFoundError as error:
                raise ArenaError(
                    f"tool.evo.arena.readable names {error}, which isn't there; mend the setting"
                ) from error
        return self._reaches[wanted]


class OpenSandbox(TierSandbox):
    """A clean environment, a scratch folder, limits and a certain end; no walls."""

    def __init__(self) -> None:
        super().__init__(Tier.OPEN)


def _launch(
    tier: Tier, drawn: Plan, handover: Handover, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _program(tier, drawn, handover),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=variables,
        start_new_session=True,
        pass_fds=handover.given,
    )


def _log_of(process: subprocess.Popen[bytes], most_bytes: int, path: Path | None) -> Log:
    """Drains what a process prints from now on, and keeps it in a file if there is a path."""
    assert process.stderr
    errors = os.dup(process.stderr.fileno())
    process.stderr.close()
    printed = Log(errors, most_bytes)
    if path is not None:
        printed.keep(path)
    return printed


def _words(command: Sequence[str]) -> list[str]:
    if command[0] == "python":
        return [_python(), "-P", "-s", *command[1:]]
    return list(command)


def _python() -> str:
    """The interpreter, however it was called: a view has its folder, but no way around to it."""
    called = Path(sys.executable)
    return str(called.parent.resolve() / called.name)


def _program(tier: Tier, drawn: Plan, handover: Handover) -> list[str]:
    """The command line: short, and nothing on it that others may not read."""
    outer: list[str] = []
    if tier is Tier.BUBBLEWRAP:
        assert drawn["mounts"] is not None
        told = bubblewrap.arguments(
            drawn["mounts"], as_root=not drawn["new_user"], capability=drawn["capability"],
            network=drawn.get("network", False),
        )  # fmt: skip
        drawn["mounts"] = None
        told_at = handover.text(bubblewrap.encode(told))
        outer = [shutil.which(bubblewrap.NAME) or bubblewrap.NAME, "--args", str(told_at)]
    plan_at = handover.text(marshal.dumps(dict(drawn)))
    return [*outer, _python(), "-S", "-P", "-s", "-c", _START, str(plan_at)]


def environment(home: str, threads: int, gpu: str) -> dict[str, str]:
    """The whole environment of a cell: a fixed list, none of it secret."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed_on | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "USER": "cell",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(staged()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": gpu,
        "CUDA_CACHE_PATH": f"{home}/cuda",
        "TRITON_CACHE_DIR": f"{home}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{home}/inductor",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    }
