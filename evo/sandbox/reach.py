"""What a cell can reach of this machine: Python, the harness, a GPU if it is given one, no more."""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evo.sandbox import harness

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_USR = ("/usr", "/usr/local")
_OF_USR = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "include", "share")
"""What is read there: images of containers have projects in them, too."""
_SETTINGS = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
_MACHINE = (
    "devices/system/cpu", "devices/system/node/online", "devices/system/node/possible",
    "devices/system/node/node*/cpulist", "devices/system/node/node*/cpumap",
    "devices/system/node/node*/distance",
)  # fmt: skip
"""Patterns below /sys: which cores and memories there are. What is beside them counts how memory
is used, which a cell could move for a later one to read."""
_STREAMS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FACTS = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/loadavg",
    "/proc/filesystems", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/random", "/proc/sys/vm/max_map_count",
)  # fmt: skip
"""What a cell may read of a shared /proc, beside its own process."""
_NVIDIA = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps", "dxg")
_NVIDIA_FACTS = ("/proc/driver/nvidia", "/proc/driver/nvidia-uvm")
_NETWORK = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
    "/etc/services", "/etc/protocols", "/etc/ssl/certs", "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted",
)  # fmt: skip
"""How names are looked up, and whose certificates are good; no keys."""
_MOST_LINKS = 40
PASSED_ON = ("LD_LIBRARY_PATH", "CUDA_HOME")
"""Variables of ours that name folders of libraries, which a cell needs too where they are set."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Paths that exist, each once, outer folders first."""

    readable: tuple[str, ...]
    devices: tuple[str, ...]
    facts: tuple[str, ...]
    """Files of a shared /proc."""


def reach(more: Sequence[str] = (), *, gpu: bool = False, network: bool = False) -> Reach:
    """What a cell needs to see.

    Args:
        more: Further files and folders that it may read.
        gpu: Whether it is given a GPU: the driver's nodes and all of /sys, read-only.
        network: Whether it may use the network.

    Raises:
        FileNotFoundError: One of `more` isn't there.
    """
    for path in more:
        if not Path(path).exists():
            raise FileNotFoundError(path)
    wanted = [
        *_SYSTEM, *_usr(), *_SETTINGS, *(("/sys",) if gpu else _machine()), *_python(),
        *followed(str(harness.staged())), *_libraries(),
        *(step for path in more for step in followed(path)),
    ]  # fmt: skip
    if network:
        wanted += [step for path in _NETWORK for step in followed(path)]
    return Reach(
        readable=_outermost(wanted),
        devices=_there([*_STREAMS, *(_gpu_nodes() if gpu else ())]),
        facts=_there([*_FACTS, *(_NVIDIA_FACTS if gpu else ())]),
    )


def followed(path: str) -> list[str]:
    """A path, and every one that it leads to where it is a link: a cell needs them all."""
    steps = [os.path.normpath(Path(path).absolute())]
    while Path(steps[-1]).is_symlink() and len(steps) < _MOST_LINKS:
        steps.append(os.path.normpath(Path(steps[-1]).parent / Path(steps[-1]).readlink()))
    return [*steps, os.path.realpath(path)]


def hidden_from_others(paths: Iterable[str], *, below: bool) -> bool:
    """Whether a stranger on this machine, who owns nothing, is kept from one of these paths.

    Args:
        paths: What is to be read.
        below: Look at the paths alone, not at the folders above them: those are made anew where
            the file system is.
    """
    for path in paths:
        steps = [path] if below else [path, *(str(one) for one in Path(path).parents)]
        for step in steps:
            mode = Path(step).stat().st_mode
            wanted = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
            if not mode & wanted:
                return True
    return False


def _machine() -> list[str]:
    return [str(path) for pattern in _MACHINE for path in sorted(Path("/sys").glob(pattern))]


def _usr() -> list[str]:
    folders = [Path(base, name) for base in _USR for name in _OF_USR]
    folders += sorted(Path("/usr/local").glob("cuda*")) + sorted(Path("/usr/local").glob("nvidia*"))
    return [path for folder in folders if folder.exists() for path in _without_evo(folder)]


def _python() -> list[str]:
    """The interpreter's folders; one that holds evo itself is taken apart to leave that out."""
    roots = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    roots |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    roots |= {str(Path(root).resolve()) for root in roots}
    found = []
    for root in sorted(roots):
        if root not in ("/", "/usr", "/usr/local"):
            found += _without_evo(Path(root))
    return found


def _without_evo(folder: Path) -> list[str]:
    package = harness.SOURCE / "evo"
    if folder not in package.parents:
        return [str(folder)]
    found = []
    for entry in sorted(folder.iterdir()):
        if entry == package:
            continue
        found += _without_evo(entry) if entry in package.parents else [str(entry)]
    return found


def _libraries() -> list[str]:
    parts = [part for name in PASSED_ON for part in os.environ.get(name, "").split(":")]
    found = [part for part in parts if part.startswith("/") and part.strip("/")]
    return [step for part in found for step in followed(part)]


def _gpu_nodes() -> list[str]:
    cards = [str(node) for node in Path("/dev").glob("nvidia[0-9]*")]
    return [*sorted(cards), *(f"/dev/{name}" for name in _NVIDIA)]


def _there(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for path in paths if Path(path).exists()))


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that exist and aren't inside another."""
    found: list[str] = []
    for path in sorted(_there(os.path.normpath(path) for path in paths)):
        if not any(path.startswith(f"{outer}/") for outer in found):
            found.append(path)
    return tuple(found)
