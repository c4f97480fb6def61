"""Whether two diffs are nearly the same change, wherever in the file it is made. Pure.

A duplicate has the syntax tree of another variant. A near-duplicate has another tree and the same
idea: the same lines for the same lines at another place, or the same numbers moved the same way.
"""

from __future__ import annotations

import re
from collections import Counter

_NUMBER = re.compile(r"(?<![\w.])\d+(?:_\d+)*(?:\.\d*)?(?:[eE][-+]?\d+)?")
Run = tuple[tuple[str, ...], tuple[str, ...]]
"""Lines that go, and lines that come in their place, without blanks around them."""


def nearly_same(diff: str, other: str) -> bool:
    """Whether two unified diffs make the same change, or move the same numbers the same way."""
    ours, theirs = _runs(diff), _runs(other)
    if not ours or not theirs:
        return False
    if Counter(ours) == Counter(theirs):
        return True
    moved = _moves(ours)
    return bool(moved) and moved == _moves(theirs)


def _runs(diff: str) -> list[Run]:
    runs: list[Run] = []
    gone: list[str] = []
    come: list[str] = []
    for line in [*diff.splitlines(), "@@"]:
        text = " ".join(line[1:].split())
        if line.startswith("-") and not line.startswith("--- "):
            gone += [text] if text else []
        elif line.startswith("+") and not line.startswith("+++ "):
            come += [text] if text else []
        elif gone or come:
            runs.append((tuple(gone), tuple(come)))
            gone, come = [], []
    return runs


def _moves(runs: list[Run]) -> dict[str, tuple[int, ...]] | None:
    """Lines with their numbers taken out, and which way each number goes; None if more changes."""
    moves: dict[str, tuple[int, ...]] = {}
    for gone, come in runs:
        if len(gone) != len(come):
            return None
        for old, new in zip(gone, come, strict=True):
            if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
                return None
            before, after = _NUMBER.findall(old), _NUMBER.findall(new)
            if len(before) != len(after):  # one of those signs was there before
                return None
            pairs = zip(before, after, strict=True)
            moves[_NUMBER.sub("#", old)] = tuple(_sign(float(b) - float(a)) for a, b in pairs)
    return moves


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
