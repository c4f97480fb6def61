"""The choice of a tier: the strongest whose canaries stay in, on this machine, since it started.

The answer is kept in the user's cache folder for as long as nothing that it depends on changes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from evo import __version__
from evo.errors import ArenaError, SettingsError
from evo.sandbox import bubblewrap, canaries, harness, landlock
from evo.sandbox.plan import Tier

AUTO = "auto"
TRIED = (Tier.BUBBLEWRAP, Tier.NAMESPACES, Tier.LANDLOCK)
"""In this order, until one is good."""
_PRIVATE = (
    "no network, no file but Python's and the harness's, no process but its own, nothing of the "
    "environment; a scratch folder in memory that nobody else sees; nothing is left at its end"
)
GUARANTEES = {
    Tier.BUBBLEWRAP: _PRIVATE,
    Tier.NAMESPACES: _PRIVATE,
    Tier.LANDLOCK: "no network, no file but Python's and the harness's, no signal to and no look "
    "into other processes, nothing of the environment; nothing is left at its end",
    Tier.OPEN: "a clean environment, limits, no network, and an end of the processes it started",
}
"""What holds in each tier, in a line; docs/sandbox.md has the whole of it."""
_ALL = "keep a hole in the kernel or in the GPU's driver from being used; use a virtual machine"
EXCEPTIONS = {
    Tier.BUBBLEWRAP: _ALL,
    Tier.NAMESPACES: _ALL,
    Tier.LANDLOCK: "hide whether a file exists, nor its size and dates; bound its scratch folder "
    f"at once (it is looked at twice a second); or {_ALL}",
    Tier.OPEN: "keep files from being read or changed",
}
"""What doesn't."""
COSTS = {
    Tier.BUBBLEWRAP: "evo makes the same namespaces by itself, if the kernel lets it",
    Tier.NAMESPACES: "bubblewrap or Landlock are used instead",
    Tier.LANDLOCK: "no tier is left where namespaces aren't allowed; the others need it, too",
}
"""What it costs that a tier can't be had."""


class Finding(msgspec.Struct, frozen=True):
    """What the canaries found of one tier."""

    tier: Tier
    holes: tuple[str, ...]
    """Empty if it is good."""

    @property
    def good(self) -> bool:
        return not self.holes

    @property
    def cause(self) -> str:
        more = f" and {len(self.holes) - 1} more" if len(self.holes) > 1 else ""
        return f"{self.holes[0]}{more}" if self.holes else ""


class Survey(msgspec.Struct, frozen=True):
    """What is known of this machine's tiers."""

    key: str
    findings: tuple[Finding, ...]


Probe = Callable[[Tier, str], list[str]]


def choose(
    wanted: str = AUTO,
    *,
    unsafe: bool = False,
    gpu: str = "",
    cache: Path | None = None,
    probe: Probe = canaries.holes,
) -> Tier:
    """The tier that trials run in.

    Args:
        wanted: A tier's name, or `auto` for the strongest that is good.
        unsafe: Whether trials may run without walls where there are none to be had, or where
            `wanted` says so.
        gpu: Index of a GPU that trials use; empty for none.
        cache: Where the answer is kept; None for the user's cache folder.
        probe: What says of a tier which holes it has.

    Raises:
        SettingsError: `open` is wanted, but not `unsafe`.
        ArenaError: No tier that may be used is good; the text says why.
    """
    if wanted == Tier.OPEN:
        if not unsafe:
            raise SettingsError(
                "tool.evo.arena.sandbox is open: trials could read and change all that you can; "
                "say --unsafe too if you mean it"
            )
        return Tier.OPEN
    tried = TRIED if wanted == AUTO else (Tier(wanted),)
    findings = survey(tried, gpu=gpu, cache=cache, probe=probe)
    good = next((finding.tier for finding in findings if finding.good), None)
    if good is not None:
        return good
    if unsafe:
        return Tier.OPEN
    causes = "; ".join(f"{finding.tier}: {finding.cause}" for finding in findings)
    raise ArenaError(
        f"no sandbox works here ({causes}); `evo doctor` says more, and --unsafe runs trials "
        "without one"
    )


def survey(
    tried: tuple[Tier, ...] = TRIED,
    *,
    gpu: str = "",
    all_of_them: bool = False,
    cache: Path | None = None,
    probe: Probe = canaries.holes,
) -> tuple[Finding, ...]:
    """What the canaries find of these tiers, up to the first that is good.

    Args:
        tried: Which, in this order.
        gpu: See `choose`.
        all_of_them: Look at every one.
        cache: See `choose`.
        probe: See `choose`.
    """
    path = cache or cache_file()
    key = f"{_key()} {bool(gpu)}"
    known = {finding.tier: finding for finding in _read(path, key)}
    found: list[Finding] = []
    for tier in tried:
        if tier not in known:
            known[tier] = Finding(tier, tuple(_missing(tier) or probe(tier, gpu)))
        found.append(known[tier])
        if known[tier].good and not all_of_them:
            break
    # Where none holds, people will mend something that the key doesn't know of, and try again.
    if any(finding.good for finding in known.values()):
        _write(path, Survey(key, tuple(known.values())))
    return tuple(found)


def shortfalls(tier: Tier) -> list[str]:
    """What a tier can't give somebody who does more than train: a line each."""
    if tier is Tier.OPEN:
        return ["it runs without a sandbox: it can read and change all that you can"]
    if tier is Tier.LANDLOCK and landlock.version() < landlock.SIGNALS_SINCE:
        return [
            "behind Landlock of a kernel before 6.12 it can send no signals: a command that it "
            "starts and gives up goes on to the end; install bubblewrap, or a newer kernel"
        ]
    return []


def cache_file() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("evo") / "sandbox.json"


def _missing(tier: Tier) -> list[str]:
    """What a tier lacks before anything is tried, in words that say what to do."""
    if sys.platform != "linux":
        return [f"it needs Linux, and this is {sys.platform}"]
    if tier is Tier.BUBBLEWRAP and shutil.which(bubblewrap.NAME) is None:
        return ["bubblewrap isn't installed (on Debian and Ubuntu: apt install bubblewrap)"]
    if landlock.version() == 0:
        return ["this kernel has no Landlock (Linux 5.13 or newer, and `landlock` among lsm=)"]
    return []


def _key() -> str:
    """Changes with whatever the answer may depend on."""
    status = _text("/proc/self/status").splitlines()
    rights = [line for line in status if line.startswith(("CapEff", "NoNewPrivs", "Seccomp:"))]
    parts = [
        _text("/proc/sys/kernel/random/boot_id").strip(),
        __version__,
        harness.staged().name,
        sys.prefix,
        str(os.geteuid()),
        shutil.which(bubblewrap.NAME) or "",
        *(line.split()[1] for line in rights),
    ]
    for space in ("mnt", "user", "pid", "net"):
        with contextlib.suppress(OSError):
            parts.append(str(Path(f"/proc/self/ns/{space}").readlink()))
    return " ".join(parts)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _read(path: Path, key: str) -> tuple[Finding, ...]:
    try:
        known = msgspec.json.decode(path.read_bytes(), type=Survey)
    except (OSError, msgspec.MsgspecError):
        return ()
    return known.findings if known.key == key else ()


def _write(path: Path, found: Survey) -> None:
    """Replaces the file whole; a cache that can't be written costs a moment at each start."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(found))
        Path(beside).replace(path)
