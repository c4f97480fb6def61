"""A model that knows the small script of `tests.projects`: it reads prompts and answers as models
do, also wrongly, so that a whole search can be run with it.
"""

from __future__ import annotations

import random
import re
import threading

from tests.models.server import Request, Said

LINE = re.compile(r"^ *\d+│ (?P<line>(?P<name>[A-Z]+) = (?P<value>[\d.]+))$", re.MULTILINE)
SLIP = "KNOB = KNOBB\n"
FAULTS = (
    "prose", "foreign", "fences", "other_file", "half", "megabyte", "nothing", "ambiguous",
    "no_block", "slow", "garbage", "hang_up", "throttled", "broken", "filtered", "cut", "unkeyed",
    "unknown",
)  # fmt: skip


class Muse:
    """Answers prompts about the small script.

    Args:
        seed: Of its draws.
        slips: Share of the mutations that crash.
        faults: Share of the answers that are of no use, of every kind.
        conflict: Whether it always changes the same line, so that crossings contradict themselves.
    """

    def __init__(
        self, seed: int = 0, *, slips: float = 0.0, faults: float = 0.0, conflict: bool = False
    ) -> None:
        self._chance = random.Random(seed)
        self._slips, self._faults, self._conflict = slips, faults, conflict
        self._lock = threading.Lock()
        self.kinds: dict[str, int] = {}
        """How often it did what."""

    def __call__(self, request: Request) -> Said:
        with self._lock:
            if self._chance.random() < self._faults:
                return self._fault(self._chance.choice(FAULTS), request.text)
            return Said(self.answer(request.text))

    def answer(self, prompt: str) -> str:
        """A useful answer, or one that slips."""
        if "# The proposal that broke" in prompt:
            return self._note("repair", "Mended", block(SLIP.strip(), "KNOB = 2.5"))
        if "# Hunk 1 of" in prompt:
            count = int(re.findall(r"# Hunk 1 of (\d+)", prompt)[0])
            hunks = [f"## Hunk {n}\n```\nKNOB = 2.{n}\n```\n" for n in range(1, count + 1)]
            return self._note("cross", "Joined", "\n".join(hunks))
        lines = list(LINE.finditer(prompt))
        if self._chance.random() < self._slips:
            return self._note("slip", "Slipped", block(lines[0]["line"], SLIP.strip()))
        chosen = lines[0] if self._conflict else self._chance.choice(lines)
        value = float(chosen["value"]) * self._chance.uniform(0.5, 2.0) + 0.01
        new = f"{chosen['name']} = {value:.3f}"
        return self._note("mutate", f"{chosen['line']} -> {value:.3f}", block(chosen["line"], new))

    def _note(self, kind: str, title: str, body: str) -> str:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        return f"Title: {title}\nRationale: It may be better.\n\n{body}"

    def _fault(self, kind: str, prompt: str) -> Said:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        told = {
            "prose": Said("I would first look at the learning rate."),
            "foreign": Said("Ich schlage vor, die Lernrate zu verdoppeln."),
            "fences": Said("```\na = 1\nb = 1\n```\nor\n```\na = 2\nb = 2\n```\n"),
            "other_file": Said("engine.py\n" + block("KNOB = 1", "KNOB = 2")),
            "half": Said("```python\nimport time\nKNOB = 2.0\n```\n"),
            "megabyte": Said("KNOB = 2\n" * 120_000),
            "nothing": Said(""),
            "ambiguous": Said(block("=", "==")),
            "no_block": Said(block("NOT_THERE = 1", "NOT_THERE = 2")),
            "slow": Said("late", seconds=0.8),
            "garbage": Said(body=b"<html>no</html>"),
            "hang_up": Said(hangs_up=True),
            "throttled": Said(status=429, headers={"Retry-After": "0"}),
            "broken": Said(status=500),
            "filtered": Said("", finish="content_filter"),
            "cut": Said(block("KNOB = 1", "KNOB = 2")[:30], finish="length"),
            "unknown": Said(status=404, error="The model `one` does not exist"),
            "unkeyed": Said(status=401, error="wrong key sk-abcdefghijkl"),
        }
        return told[kind]


def block(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
