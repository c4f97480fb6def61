"""What a run uses of this machine: device, slots and rules, where the settings leave it to evo."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from evo.arena.rules import Rules
from evo.config import Settings
from evo.errors import SettingsError
from evo.nouns import Clock, Recipe, Task

MOST_CPU_SLOTS = 8


@dataclass(frozen=True, slots=True)
class Profile:
    """A run's settings with every open choice made."""

    task: Task
    rules: Rules
    slots: int
    gpus: tuple[str, ...]
    """Index of the GPU of each slot in turn; empty on a CPU."""

    @property
    def device(self) -> str:
        return self.rules.device

    def gpu(self, slot: int) -> str:
        """The GPU that a slot's trials may see; empty on a CPU."""
        return self.gpus[slot % len(self.gpus)] if self.gpus else ""


def visible_gpus() -> tuple[str, ...]:
    """Indices of the NVIDIA GPUs that this process may use, without loading CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return tuple(part for part in chosen.split(",") if part.strip() not in ("", "-1"))
    nodes = (node.name.removeprefix("nvidia") for node in Path("/dev").glob("nvidia*"))
    return tuple(sorted((name for name in nodes if name.isdigit()), key=int))


def cores() -> int:
    """CPU cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose(settings: Settings) -> Profile:
    """Makes every choice that the settings leave open.

    Raises:
        SettingsError: A GPU is asked for and there is none.
    """
    gpus = visible_gpus() if settings.arena.device != "cpu" else ()
    if settings.arena.device == "cuda" and not gpus:
        raise SettingsError(
            "tool.evo.arena.device is cuda, but no NVIDIA GPU is visible here; "
            "use `auto` or `cpu`, or look at CUDA_VISIBLE_DEVICES"
        )
    if settings.task.recipe is Recipe.COMMAND:
        gpus = gpus if settings.arena.device == "cuda" else ()
    cuda = bool(gpus)
    task, arena = settings.task, settings.arena
    clock = task.clock or (Clock.WALL if cuda else Clock.CPU)
    budget = task.budget_seconds or (300.0 if cuda else 10.0)
    machine_mb = psutil.virtual_memory().total // 2**20
    slots = settings.slots or (len(gpus) if cuda else min(cores(), MOST_CPU_SLOTS))
    share_mb = machine_mb * 4 // 5 // (1 if cuda else slots)
    memory_mb = arena.memory_mb or (share_mb if cuda else min(4096, share_mb))
    sequence_len = arena.sequence_len or (2048 if cuda else 256)
    return Profile(
        task=Task(
            editable=task.editable,
            recipe=task.recipe,
            metric=task.metric,
            direction=task.direction,
            budget_seconds=budget,
            clock=clock,
            scale=task.scale,
            command=task.command,
            pattern=task.pattern,
            crash_pattern=task.crash_pattern,
        ),
        rules=Rules(
            budget_seconds=budget,
            clock=clock,
            device="cuda" if cuda else "cpu",
            sequence_len=sequence_len,
            scale=task.scale,
            score_tokens=arena.score_tokens or (2**21 if cuda else 2**16),
            score_rows=max(1, (2**16 if cuda else 2**12) // sequence_len),
            startup_seconds=arena.startup_seconds,
            scoring_seconds=arena.scoring_seconds,
            memory_mb=memory_mb,
            weights_mb=arena.weights_mb,
            threads=arena.threads or (4 if cuda else 1),
        ),
        slots=slots,
        gpus=gpus,
    )
