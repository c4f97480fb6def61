"""The referee of a `command` task: runs any script under the clock and reads the number it prints.

The number is the script's own word, so its trials are marked self-reported wherever a person sees
them. Time, memory and the end of its processes are the referee's, as in the arena.
"""

from __future__ import annotations

import math
import re
import shlex
import time
from pathlib import Path

from evo.arena.compiled import Kept
from evo.arena.rules import (
    LARGEST_NUMBER,
    TICK_SECONDS,
    WALL_PER_CPU_SECOND,
    EndedError,
    Nobody,
    Rules,
    Watch,
    check_memory,
    check_stop,
    clean_line,
)
from evo.corpus.corpus import Split
from evo.errors import SettingsError
from evo.nouns import Clock, Measurement, Resources, Status, Task
from evo.sandbox.sandbox import Cell, Limits, Sandbox
from evo.text import clean_text

NUMBER = r"([-+]?(?:\d++\.?\d*+|\.\d++)(?:[eE][-+]?\d++)?)"
"""What is read once isn't read again in parts: a script may print thousands of digits."""
LAST_BYTES = 16 * 1024
"""The score is looked for in so much of the end of the output."""


class CommandReferee:
    """Measures variants of a command task, one at a time.

    Args:
        task: The command, the metric and the budget.
        sandbox: How cells are started.
        rules: Caps; shapes and scoring are of no use here.
        gpu: Index of the GPU that scripts may see.

    Raises:
        SettingsError: The command or a pattern makes no sense.
    """

    def __init__(self, task: Task, sandbox: Sandbox, rules: Rules, gpu: str = "") -> None:
        self._task, self._sandbox, self._rules, self._gpu = task, sandbox, rules, gpu
        try:
            self._words = shlex.split(task.command)
            text = task.pattern or rf"(?m)^\s*+{re.escape(task.metric)}\s*+[:=]\s*+{NUMBER}\s*$"
            self._pattern = re.compile(text)
            self._crash = re.compile(task.crash_pattern) if task.crash_pattern else None
        except (ValueError, re.error) as error:
            raise SettingsError(f"[tool.evo.task] can't be used: {error}") from error
        if not self._words or self._pattern.groups < 1:
            raise SettingsError(
                "[tool.evo.task] needs a command, and a pattern with a group for the score"
            )

    def measure(
        self,
        source: str,
        seed: int,
        *,
        split: Split = Split.SEARCH,
        deep: bool = False,
        log: Path | None = None,
        compiled: Kept | None = None,
        watch: Watch | None = None,
    ) -> Measurement:
        """Runs one variant once.

        Args:
            source: The variant's text.
            seed: Given to the script as EVO_SEED and in place of `{seed}`.
            split: Changes nothing: a script brings its own data.
            deep: Changes nothing: what a script says of itself can't be audited.
            log: Where what it prints is kept.
            compiled: Changes nothing: what a command does with compilers isn't known.
            watch: Who looks on; may stop the trial.

        Raises:
            ArenaError: It couldn't be run, through no fault of the variant.
        """
        self._sandbox.settle(self._gpu)
        began, used = time.monotonic(), 0.0
        status, score, cause = Status.SCORED, None, ""
        cell = self._start(source, seed, log)
        try:
            used = self._wait(cell, watch or Nobody())
            cell.end()
            score = self._read_score(cell)
        except EndedError as ended:
            status, cause = ended.status, ended.cause
        finally:
            used = used or self._used(cell, began)
            cell.end()
        resources = Resources(
            training_seconds=used,
            total_seconds=time.monotonic() - began,
            peak_memory_mb=cell.meter.peak_memory_mb,
        )
        return Measurement(status, score, cause, resources, device=self._rules.device)

    def check(self, source: str, *, log: Path | None = None) -> str:
        """A command task has no contract to rehearse: nothing is ever refused here."""
        return ""

    def close(self) -> None:
        """Nothing waits for a next trial."""

    def _start(self, source: str, seed: int, log: Path | None) -> Cell:
        words = [
            word.replace("{editable}", self._task.editable).replace("{seed}", str(seed))
            for word in self._words
        ]
        return self._sandbox.start(
            words,
            limits=Limits(memory_mb=self._rules.memory_mb),
            threads=self._rules.threads,
            log=log,
            gpu=self._gpu,
            files={self._task.editable: source},
            merge_output=True,
            variables={"EVO_SEED": str(seed)},
        )

    def _used(self, cell: Cell, began: float) -> float:
        if self._rules.clock is Clock.CPU:
            return cell.meter.most_cpu_seconds()
        return time.monotonic() - began

    def _wait(self, cell: Cell, watch: Watch) -> float:
        """Waits for the end; the budget used.

        Raises:
            EndedError: It failed, or used up its budget.
        """
        began, budget = time.monotonic(), self._rules.budget_seconds
        wall = budget * (WALL_PER_CPU_SECOND if self._rules.clock is Clock.CPU else 1.0)
        while (code := cell.poll()) is None:
            check_memory(cell, self._rules.memory_mb)
            check_stop(watch)
            if self._used(cell, began) > budget or time.monotonic() - began > wall:
                raise EndedError(Status.TIMED_OUT, f"it took more than {budget:g} s")
            time.sleep(TICK_SECONDS)
        used = self._used(cell, began)
        if code == -9:
            raise EndedError(Status.OUT_OF_MEMORY, "it was killed, most likely for want of memory")
        if code != 0:
            words = [line for line in cell.log.tail().splitlines() if line.strip()]
            last = clean_line(words[-1]) if words else "it printed nothing"
            memory = last.startswith("MemoryError")
            raise EndedError(
                Status.OUT_OF_MEMORY if memory else Status.CRASHED,
                f"it ended with exit status {code}: {last}",
            )
        return used

    def _read_score(self, cell: Cell) -> float:
        text = clean_text(cell.log.tail(LAST_BYTES))
        if self._crash and (found := self._crash.search(text)):
            raise EndedError(Status.CRASHED, f"its output has what means failure: {found.group()}")
        scores = list(self._pattern.finditer(text))
        if not scores:
            wanted = self._task.pattern or f"{self._task.metric}: NUMBER"
            raise EndedError(Status.CRASHED, f"its last lines don't show the score, {wanted}")
        try:
            score = float(scores[-1].group(1))
        except ValueError as error:
            raise EndedError(Status.CRASHED, f"its score isn't a number: {error}") from error
        if not math.isfinite(score):
            raise EndedError(Status.CRASHED, f"nan: its score is {score}")
        if abs(score) > LARGEST_NUMBER:
            raise EndedError(
                Status.CRASHED,
                f"its score is {score:g}, and what is further than {LARGEST_NUMBER:g} from zero "
                "isn't taken; print it in another unit",
            )
        return score
