"""What two versions contradict each other in: git's merge of lines, its conflicts in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evo.population.merge import merge_file

MARKS = 23
"""Characters of a marker: no source has a line of so many."""
_CONFLICT = re.compile(
    rf"^<{{{MARKS}}} [^\n]*\n(?P<ours>.*?)^\|{{{MARKS}}} [^\n]*\n(?P<base>.*?)^={{{MARKS}}}\n"
    rf"(?P<theirs>.*?)^>{{{MARKS}}} [^\n]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A place that both sides changed in different ways; whole lines."""

    ours: str
    base: str
    theirs: str


def conflicts(base: str, ours: str, theirs: str) -> list[str | Conflict]:
    """The merged text in pieces: what is settled as text, what isn't as a conflict.

    Raises:
        PopulationError: Git can't be run.
    """
    merged, _ = merge_file(base, ours, theirs, "--diff3", f"--marker-size={MARKS}")
    return list(_pieces(merged))


def resolve(pieces: Sequence[str | Conflict], answers: Sequence[str]) -> str:
    """The text with an answer in the place of each conflict, in their order."""
    left, made = iter(answers), list[str]()
    for piece in pieces:
        if isinstance(piece, str):
            made.append(piece)
        else:
            answer = next(left)
            made.append(answer if not answer or answer.endswith("\n") else f"{answer}\n")
    return "".join(made)


def _pieces(merged: str) -> Iterator[str | Conflict]:
    at = 0
    for found in _CONFLICT.finditer(merged):
        if found.start() > at:
            yield merged[at : found.start()]
        yield Conflict(found["ours"], found["base"], found["theirs"])
        at = found.end()
    if at < len(merged):
        yield merged[at:]
