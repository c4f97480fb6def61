"""`evo doctor`: what evo finds on this machine, and what each missing thing costs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evo import __version__
from evo.arena.profile import visible_gpus
from evo.cli import place
from evo.config import Settings
from evo.corpus.corpus import data_folder, prepared
from evo.errors import EvoError
from evo.sandbox import cgroups, walls
from evo.sandbox.plan import Tier
from evo.text import clean_text

KEYS = (
    "ANTHROPIC_API_KEY", "AZURE_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY",
    "GROQ_API_KEY", "MISTRAL_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "TOGETHERAI_API_KEY",
    "XAI_API_KEY",
)  # fmt: skip
"""Where litellm looks for the keys of the larger providers; only whether they are set is told."""
LEAST_FREE_MB = 2048
ASK_SECONDS = 120.0
TORCH_QUESTION = (
    "import torch; n = torch.cuda.device_count(); "
    "print(*(torch.cuda.get_device_name(i) for i in range(n)), sep='; ')"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    good: bool
    found: str
    cost: str = ""
    """What it costs the user that this is missing; empty if nothing is."""
    vital: bool = False
    """Whether nothing can be measured without it."""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--again", is_flag=True, help="Try the sandbox again, whatever was found before.")
def doctor_command(as_json: bool, again: bool) -> None:
    """Say what evo finds here, and what each missing thing costs.

    The exit status is 1 if a search can't run.
    """
    if again:
        walls.cache_file().unlink(missing_ok=True)
    settings, cause = _settings()
    found = list(examine(settings))
    if cause:
        found.insert(0, Finding("settings", False, cause, "no command works here", vital=True))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        _print(found)
    sys.exit(1 if any(one.vital and not one.good for one in found) else 0)


def examine(settings: Settings) -> Iterator[Finding]:
    """Looks at everything, in the order in which it is shown."""
    yield Finding("evo", True, f"{__version__}, Python {platform.python_version()}")
    gpus = visible_gpus()
    yield from _sandbox(settings, gpus[0] if gpus and settings.arena.device != "cpu" else "")
    yield _memory_cap()
    yield _torch()
    yield _gpu(gpus)
    yield _data()
    yield from _disks()
    yield _git()
    yield _package("duckdb", "DuckDB")
    yield _keys()


def _settings() -> tuple[Settings, str]:
    """This folder's settings, or the default ones and why."""
    try:
        return place.settings_for(), ""
    except EvoError as error:
        return Settings(), str(error)


def _sandbox(settings: Settings, gpu: str) -> Iterator[Finding]:
    surveyed = walls.survey(gpu=gpu, all_of_them=True)
    try:
        chosen = walls.choose(settings.arena.sandbox, unsafe=settings.unsafe, gpu=gpu)
    except EvoError as error:
        cost = "no trial runs, unless with --unsafe; see the tiers below"
        yield Finding("sandbox", False, str(error), cost, vital=True)
    else:
        cost = "trials can read and change all that you can" if chosen is Tier.OPEN else ""
        yield Finding("sandbox", chosen is not Tier.OPEN, str(chosen), cost)
        yield Finding("  it keeps", True, walls.GUARANTEES[chosen])
        yield Finding("  it doesn't", True, walls.EXCEPTIONS[chosen])
    for one in surveyed:
        yield Finding(
            f"  {one.tier}",
            one.good,
            "holds" if one.good else clean_text("; ".join(one.holes)),
            "" if one.good else walls.COSTS[one.tier],
        )


def _memory_cap() -> Finding:
    given = sorted({name for one in cgroups.places() for name in one.controllers})
    if "memory" in given:
        return Finding("control groups", True, " and ".join(given))
    return Finding(
        "control groups",
        False,
        "no memory group can be made here (as root, or where systemd delegates one, it can)",
        "memory is watched twice a second, not capped; a trial may overshoot for that long",
    )


def _torch() -> Finding:
    found = _package("torch", "torch")
    cost = "arena tasks can't train; `command` tasks can" if not found.good else ""
    return Finding("torch", found.good, found.found, cost)


def _gpu(gpus: tuple[str, ...]) -> Finding:
    if not gpus:
        return Finding(
            "GPU", False, "no NVIDIA GPU is visible", "trials train on the CPU, small models only"
        )
    said = _ask([sys.executable, "-c", TORCH_QUESTION])
    cost = "" if said else "torch doesn't see it: is it a CPU build, or the driver too old?"
    return Finding("GPU", bool(said), said or f"{len(gpus)} by their device nodes", cost)


def _data() -> Finding:
    names = [path.name for path in prepared()]
    found = f"{', '.join(names) or 'nothing'} prepared in {data_folder()}"
    cost = "" if names else "the first search prepares the embedded text, in seconds"
    return Finding("data", bool(names), found, cost)


def _disks() -> Iterator[Finding]:
    folders = {"project": place.project(), "data": data_folder(), "temporary": _temporary()}
    for name, folder in folders.items():
        free_mb = psutil.disk_usage(str(_existing(folder))).free // 2**20
        low = free_mb < LEAST_FREE_MB
        cost = f"less than {LEAST_FREE_MB:,} MB: trials may be lost for want of room" if low else ""
        yield Finding(f"disk, {name}", not low, f"{free_mb:,} MB free in {folder}", cost)


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def _git() -> Finding:
    said = _ask(["git", "--version"])
    cost = "no search can run: variants are git commits"
    if not said:
        return Finding("git", False, "there is none on the PATH", cost, vital=True)
    return Finding("git", True, said.removeprefix("git version "))


def _package(name: str, shown: str) -> Finding:
    try:
        return Finding(shown, True, version(name))
    except PackageNotFoundError:
        return Finding(shown, False, "not installed", "evo is installed in part; install it again")


def _keys() -> Finding:
    found = [name for name in KEYS if os.environ.get(name)]
    if found:
        return Finding("LLM keys", True, f"{', '.join(found)} set")
    return Finding("LLM keys", False, "none set", "no operator asks a model; the others work")


def _ask(command: list[str]) -> str:
    """The first line that a program prints; empty if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines()
    return clean_text(lines[-1]) if done.returncode == 0 and lines else ""


def _print(found: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        mark = "[green]ok[/]" if one.good else "[red]no[/]"
        text = escape(one.found) + (f"\n[dim]→ {escape(one.cost)}[/]" if one.cost else "")
        table.add_row(mark, one.name, text)
    Console(highlight=False, emoji=False).print(table)
