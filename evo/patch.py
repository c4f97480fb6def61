"""Edits of one text: unified diffs made and applied, and the patches of the gene pool.

Pure: texts in, texts out. A line ends with a line feed and nothing else, so that carriage returns,
form feeds and a missing line feed at the end survive.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from io import StringIO

from unidiff.constants import LINE_TYPE_ADDED, LINE_TYPE_CONTEXT, LINE_TYPE_NO_NEWLINE
from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchSet

from evo.errors import PatchError

NO_NEWLINE = "\\ No newline at end of file\n"
WEIGHED_LINES = 50
"""Lines of a hunk that are looked at to say where it fits least badly."""
MOST_PAIRS = 20_000_000
"""Lines of a text times the hunks and lines of a patch that are looked for in it."""
MOST_ALIKE = 2_000_000
"""Pairs of equal lines in two texts, beyond which nobody looks for a short diff between them: the
time for that grows with these, and who writes a text decides how often it says the same."""
_HEADERS = ("Title", "Rationale")
_DIFF = re.compile(r"^--- .*\n\+\+\+ .*\n@@ -\d", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FounderPatch:
    """One idea of the gene pool: a small diff with the reason for it."""

    name: str
    title: str
    rationale: str
    diff: str


def diff(old: str, new: str, name: str = "train.py") -> str:
    """The unified diff that `git apply` and `apply` take; empty for equal texts."""
    before, after = _lines(old), _lines(new)
    compare = _exchange if old != new and _alike(before, after) > MOST_ALIKE else _compare
    made = compare(before, after, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}" for line in made)


_compare = difflib.unified_diff


def _exchange(before: list[str], after: list[str], a: str, b: str) -> list[str]:
    """A diff that takes all lines out and puts all lines in."""
    (start, old), (begin, new) = ((min(len(text), 1), len(text)) for text in (before, after))
    head = [f"--- {a}\n", f"+++ {b}\n", f"@@ -{start},{old} +{begin},{new} @@\n"]
    return [*head, *(f"-{line}" for line in before), *(f"+{line}" for line in after)]


def _alike(before: list[str], after: list[str]) -> int:
    counts = Counter(after)
    return sum(count * counts[line] for line, count in Counter(before).items())


def is_diff(text: str) -> bool:
    """Whether a text holds a unified diff rather than being a file."""
    return _DIFF.search(text) is not None


def apply(source: str, patch: str) -> str:
    """The text that a unified diff makes of another.

    Each hunk goes where its old lines are found: at its line number, else at the nearest place,
    else where they differ only in blanks after the indentation or in the kind of line end; then
    lines that stay are left as they are in `source`. The search is that of Larry Wall's patch(1),
    without its fuzz: no context is ignored.

    Raises:
        PatchError: The patch can't be read, changes more than one file, or doesn't fit.
    """
    if not patch.strip():
        return source
    lines, made, at, drift = _lines(source), list[str](), 0, 0
    hunks = _hunks(patch)
    if len(lines) * sum(1 + len(hunk) for hunk in hunks) > MOST_PAIRS:
        raise PatchError(
            f"a patch of {len(hunks):,} hunks is too long for a text of {len(lines):,} lines; "
            "hand in the whole file instead"
        )
    for number, hunk in enumerate(hunks, 1):
        edits = list(_edits(hunk))
        old = [text for kind, text in edits if kind != LINE_TYPE_ADDED]
        # A hunk without old lines names the line that it follows, any other its first one.
        wanted = hunk.source_start - (1 if old else 0) + drift
        place = _place(lines, old, wanted, at)
        if place is None:
            raise PatchError(_misfit(lines, old, number, hunk, at))
        made += lines[at:place]
        made += _replaced(lines[place : place + len(old)], edits)
        at, drift = place + len(old), place - wanted + drift
    return _joined(made + lines[at:])


def read_founder(name: str, text: str) -> FounderPatch:
    """A patch file: `Title:` and `Rationale:` lines, a blank line, the unified diff.

    Args:
        name: What it is asked for by, usually the file's name without its ending.
        text: The file. A header may go on over indented lines.

    Raises:
        PatchError: No title, or no diff.
    """
    title, rationale, body = split_headers(text)
    if not title:
        raise PatchError(
            f"the patch {name} must begin with a line `Title: ...`; then `Rationale: ...`, "
            "a blank line and the unified diff"
        )
    if not is_diff(body):
        raise PatchError(
            f"the patch {name} must hold a unified diff after its header and a blank line, "
            "but there is none; make one with `git diff`"
        )
    return FounderPatch(name, title, rationale, body)


def split_headers(text: str) -> tuple[str, str, str]:
    """Title, rationale and the rest of a patch file; the first two may be missing."""
    message = HeaderParser().parsestr(text)
    title, rationale = (" ".join(str(message.get(key, "")).split()) for key in _HEADERS)
    return title, rationale, str(message.get_payload())


def _lines(text: str) -> list[str]:
    return StringIO(text).readlines()


def _joined(lines: Sequence[str]) -> str:
    """One text; a line that lost its place at the end gets its line feed."""
    ended = [line if line.endswith("\n") else f"{line}\n" for line in lines[:-1]]
    return "".join([*ended, *lines[-1:]])


def _hunks(patch: str) -> list[Hunk]:
    try:
        files = [file for file in PatchSet(StringIO(patch)) if len(file)]
    except (UnidiffParseError, ValueError) as error:  # or a number of thousands of digits
        raise PatchError(
            f"a patch must be a unified diff, but this one can't be read: {str(error).strip()}; "
            "make it with `git diff` and leave its @@ lines as they are"
        ) from error
    if len(files) != 1:
        came = ", ".join(file.path for file in files) or "none"
        raise PatchError(f"a patch must change one file, but it changes {came}; split it")
    return list(files[0])


def _edits(hunk: Hunk) -> Iterator[tuple[str, str]]:
    """Kind and text of each line; the text of a line before a "no newline" mark has none."""
    kept: tuple[str, str] | None = None
    for line in hunk:
        if line.line_type == LINE_TYPE_NO_NEWLINE:
            if kept is not None:
                kept = (kept[0], kept[1].removesuffix("\n"))
        elif line.line_type:  # without a type it is a blank line after the hunk
            if kept is not None:
                yield kept
            value = line.value
            kept = (line.line_type, value if value.endswith("\n") else f"{value}\n")
    if kept is not None:
        yield kept


def _place(lines: Sequence[str], old: Sequence[str], wanted: int, low: int) -> int | None:
    """Where the old lines are, nearest to where they should be; None if they aren't there."""
    high = len(lines) - len(old)
    if not old:
        return min(max(wanted, low), high)
    places = sorted(range(low, high + 1), key=lambda place: abs(place - wanted))
    for place in places:
        if lines[place : place + len(old)] == old:
            return place
    have, need = [_loose(line) for line in lines], [_loose(line) for line in old]
    for place in places:
        if have[place : place + len(old)] == need:
            return place
    return None


def _loose(line: str) -> str:
    """A line with its blanks made alike; the indentation stays, for it has a meaning."""
    text = line.expandtabs()
    indentation = text[: len(text) - len(text.lstrip())] if text.strip() else ""
    return indentation + " ".join(text.split())


def _replaced(have: Sequence[str], edits: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The new lines of a hunk; what it only shows is taken from the text."""
    old = [text for kind, text in edits if kind != LINE_TYPE_ADDED]
    ends_differ = list(have) != old and any(line.endswith("\r\n") for line in have)
    at = 0
    for kind, text in edits:
        if kind == LINE_TYPE_ADDED:
            bare = text.endswith("\n") and not text.endswith("\r\n")
            yield f"{text[:-1]}\r\n" if ends_differ and bare else text
            continue
        if kind == LINE_TYPE_CONTEXT:
            yield have[at]
        at += 1


def _misfit(lines: Sequence[str], old: Sequence[str], number: int, hunk: Hunk, low: int) -> str:
    """The place where most of a hunk's old lines are, and the first line there that differs."""
    have, need = [_loose(line) for line in lines], [_loose(line) for line in old[:WEIGHED_LINES]]
    mark = f"hunk {number} (@@ -{hunk.source_start},{hunk.source_length}) doesn't fit"

    def alike(place: int) -> int:
        return sum(a == b for a, b in zip(have[place:], need, strict=False))

    best = max(range(low, max(len(lines), low + 1)), key=alike)
    for line, (wanted, text) in enumerate(zip(old, lines[best:], strict=False), best + 1):
        if _loose(wanted) != _loose(text):
            came = f"line {line} is {text.strip()!r}"
            break
    else:
        wanted, came = old[min(len(lines) - best, len(old) - 1)], "the text ends before it"
    return f"{mark}: it expects {wanted.strip()!r}, but {came}; make it again from the present text"
