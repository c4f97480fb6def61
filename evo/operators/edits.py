"""What a model answers, as edits of one text: SEARCH/REPLACE blocks, a unified diff, or the whole
file. Pure.

A block is looked for exactly, then with blanks that differ, then where the text is nearly that; it
must fit one place and no other. Whatever doesn't fit is told with the lines that come nearest, in
words that the model can act on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from evo import patch
from evo.errors import PatchError

MOST_ANSWER_CHARACTERS = 400_000
LEAST_LIKENESS = 0.9
"""Of a place to a block that is in the text neither exactly nor but for blanks."""
LEAST_LIKENESS_OF_A_LINE = 0.8
LEAST_EQUAL = 0.5
"""Share of a block's lines that are in the text as they are."""
MOST_COMPARED = 500
"""Characters of a line."""
MOST_PAIRS = 10_000_000
"""Lines of a text times those that blocks search for in it."""
LEAST_LEAD = 0.05
"""By which such a place must be more like the block than any other."""
SHOWN_LINES = 12
LEAST_SHARE = 0.5
"""Of the lines that a whole file must keep: what is shorter was most likely cut off."""
ANCHOR = re.compile(r"^ *\d+│ ?", re.MULTILINE)
"""What stands before each line of a text that is shown to a model."""
_SEARCH = re.compile(r"<{5,9} ?SEARCH")
_MIDDLE = re.compile(r"={5,9}[ \t]*$")
_REPLACE = re.compile(r">{5,9} ?REPLACE")
_TITLE = re.compile(r"(?im)^[#* \t]*+title[* \t]*+:[* \t]*+\n?[* \t]*+(\S.*)$")
_RATIONALE = re.compile(
    r"(?ims)^[#* \t]*+rationale[* \t]*+:[* \t]*+\n?[* \t]*+(\S.*?)(?=\n\s*\n|\n#|\Z)"
)
_FILE = re.compile(r"^[#*`\s]*([\w./-]+\.[A-Za-z]\w{0,4})[`*:\s]*$")


class AnswerError(PatchError):
    """An answer can't be used.

    Args:
        text: Why, in one line.
        advice: Lines that help to make it right.
    """

    def __init__(self, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced piece of an answer."""

    heading: str
    """The last line before it that isn't blank."""
    body: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines to look for, and what is to stand in their place."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A reading of an answer: one of edits, diff and whole says what changes."""

    title: str
    rationale: str
    edits: tuple[Edit, ...] = ()
    diff: str = ""
    whole: str = ""


def read(text: str, editable: str) -> Answer:
    """An answer's parts.

    Args:
        text: As the model wrote it.
        editable: Name of the one file that may change.

    Raises:
        AnswerError: There is nothing in it that changes that file, or another file is to change.
    """
    text = normal(text)
    lines = text.split("\n")
    edits, begun = _edits(lines)
    title, rationale = headers("\n".join(lines[: begun[0]] if begun else lines))
    if len(begun) > len(edits):
        raise AnswerError(
            f"block {len(edits) + 1} of {len(begun)} isn't finished: each needs <<<<<<< SEARCH, "
            "=======, and >>>>>>> REPLACE on lines of their own"
        )
    if edits:
        _refuse_other_files(lines, begun, editable)
        return Answer(title, rationale, tuple(edits))
    found = fences(text)
    for body in [*(fence.body for fence in found), text]:
        if patch.is_diff(body):
            _refuse_other_diff(body, editable)
            return Answer(title, rationale, diff=body)
    return Answer(title, rationale, whole=_whole(text, found))


def normal(text: str) -> str:
    """An answer with line feeds alone at the ends of its lines.

    Raises:
        AnswerError: It is too long to be read.
    """
    if len(text) > MOST_ANSWER_CHARACTERS:
        raise AnswerError(
            f"the answer has {len(text):,} characters; at most {MOST_ANSWER_CHARACTERS:,} are read"
        )
    return text.replace("\r\n", "\n")


def headers(text: str) -> tuple[str, str]:
    """The title and the rationale that a text says, each in one line; empty if it doesn't."""
    found = (pattern.search(text) for pattern in (_TITLE, _RATIONALE))
    title, rationale = (" ".join(one[1].strip("*` \n").split()) if one else "" for one in found)
    return title, rationale


def fences(text: str) -> list[Fence]:
    """The fenced pieces of an answer that are closed."""
    found, heading = list[Fence](), ""
    body: list[str] | None = None
    for line in text.split("\n"):
        bare = line.rstrip()
        if body is not None and bare == "```":
            found.append(Fence(heading, "".join(body)))
            body, heading = None, ""
        elif body is not None:
            body.append(f"{line}\n")
        elif line.startswith("```") and "`" not in line[3:]:
            body = []
        elif bare:
            heading = bare
    return found


def apply(source: str, answer: Answer) -> str:
    """The text that an answer makes of another.

    Raises:
        AnswerError: It doesn't fit.
    """
    if answer.diff:
        try:
            return patch.apply(source, answer.diff)
        except PatchError as error:
            raise AnswerError(str(error), "Answer with SEARCH/REPLACE blocks instead.") from error
    if answer.whole:
        kept, had = answer.whole.count("\n"), source.count("\n")
        if kept < LEAST_SHARE * had:
            raise AnswerError(
                f"the whole file was expected, but it has {kept} lines of {had}: it looks cut off",
                "Answer with SEARCH/REPLACE blocks for what changes.",
            )
        return answer.whole
    searched = sum(1 + edit.old.count("\n") for edit in answer.edits)
    lines = source.count("\n")
    if lines * searched > MOST_PAIRS:
        raise AnswerError(
            f"its blocks search for {searched:,} lines, too many for a text of {lines:,}",
            "Search for fewer lines: those that change, and a few around them.",
        )
    places = [_place(source, edit, number) for number, edit in enumerate(answer.edits, 1)]
    order = sorted(range(len(places)), key=lambda index: places[index][:2])
    made, at = list[str](), 0
    for before, index in zip([None, *order], order, strict=False):
        start, end, new = places[index]
        if start < at:
            assert before is not None
            raise AnswerError(
                f"blocks {before + 1} and {index + 1} change the same lines; join them"
            )
        made += [source[at:start], new]
        at = end
    return "".join(made) + source[at:]


def show(source: str) -> str:
    """A text with the number of each line before it, as `read` takes it back."""
    lines = source.splitlines()
    width = len(str(len(lines)))
    return "\n".join(f"{number:>{width}}│ {line}" for number, line in enumerate(lines, 1))


# Reading


def _edits(lines: Sequence[str]) -> tuple[list[Edit], list[int]]:
    """The blocks that are finished, and at which lines blocks begin."""
    edits, begun = list[Edit](), list[int]()
    old: list[str] | None = None
    new: list[str] | None = None
    for at, line in enumerate(lines):
        if _SEARCH.match(line):
            begun.append(at)
            old, new = [], None
        elif old is None:
            continue
        elif new is None:
            if _MIDDLE.match(line):
                new = []
            else:
                old.append(line)
        elif _REPLACE.match(line):
            edits.append(Edit(_bare(old), _bare(new)))
            old = new = None
        else:
            new.append(line)
    return edits, begun


def _bare(lines: Sequence[str]) -> str:
    """Lines of a block, without the line numbers that some models copy along."""
    if all(ANCHOR.match(line) for line in lines if line.strip()):
        lines = [ANCHOR.sub("", line) for line in lines]
    return "".join(f"{line}\n" for line in lines)


def _refuse_other_files(lines: Sequence[str], begun: Sequence[int], editable: str) -> None:
    """Raises:
    AnswerError: A line before a block names another file.
    """
    for at in begun:
        for line in lines[max(0, at - 3) : at]:
            found = _FILE.match(line)
            if found and found[1].rpartition("/")[2] != editable.rpartition("/")[2]:
                raise AnswerError(f"it edits {found[1]}, but only {editable} may change")


def _refuse_other_diff(text: str, editable: str) -> None:
    names = re.findall(r"^\+\+\+ (?:b/)?(\S+)", text, re.MULTILINE)
    for name in names:
        if name.rpartition("/")[2] != editable.rpartition("/")[2]:
            raise AnswerError(f"it edits {name}, but only {editable} may change")


def _whole(text: str, found: Sequence[Fence]) -> str:
    """The one fenced file in an answer.

    Raises:
        AnswerError: There is none, or more than one could be meant.
    """
    if len(found) == 1 and found[0].body.count("\n") > 1:
        return _bare(found[0].body.splitlines())
    form = "Answer with SEARCH/REPLACE blocks."
    if len(found) > 1:
        raise AnswerError(
            f"it has {len(found)} fences of code and no SEARCH/REPLACE block: which one is meant "
            "can't be told",
            form,
        )
    if text.count("```") % 2:
        raise AnswerError("its fence of code isn't closed: it looks cut off", form)
    begins = " ".join(text.split())[:80]
    raise AnswerError(f"no edit is in the answer, which begins: {begins!r}", form)


# Placing


def _place(source: str, edit: Edit, number: int) -> tuple[int, int, str]:
    """Where a block goes, in characters, and what goes there.

    Raises:
        AnswerError: Nowhere, or at more than one place.
    """
    if not edit.old.strip():
        raise AnswerError(
            f"block {number} searches for nothing; name the lines beside which the new ones stand"
        )
    lines = source.splitlines(keepends=True)
    have = [line.rstrip("\r\n") for line in lines]
    need = edit.old.strip("\n").splitlines()
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for alike in (_same, _loosely_same):
        starting = range(len(have) - len(need) + 1)
        found = [at for at in starting if alike(have[at : at + len(need)], need)]
        if len(found) > 1:
            where = ", ".join(str(at + 1) for at in found[:6])
            raise AnswerError(
                f"block {number} fits at lines {where}",
                "Add lines around it to its SEARCH until it fits one place only.",
            )
        if found:
            return _span(source, starts, found[0], have, need, edit)
    if source.count(edit.old.strip("\n")) == 1:  # a part of a line
        at = source.index(edit.old.strip("\n"))
        return at, at + len(edit.old.strip("\n")), edit.new.strip("\n")
    best, ratio, next_best = _nearest(have, need)
    if ratio >= LEAST_LIKENESS and ratio - next_best >= LEAST_LEAD:
        return _span(source, starts, best, have, need, edit)
    raise AnswerError(
        f"block {number} isn't in the file: its first line is {need[0].strip()[:80]!r}",
        _nearby(have, best, len(need), number),
    )


def _span(
    source: str,
    starts: Sequence[int],
    at: int,
    have: Sequence[str],
    need: Sequence[str],
    edit: Edit,
) -> tuple[int, int, str]:
    start, end = starts[at], starts[at + len(need)]
    new = "\n".join(_indented(edit.new.strip("\n"), have[at : at + len(need)], need))
    ends_line = source[start:end].endswith("\n")
    return start, end, f"{new}\n" if new and ends_line else new


def _indented(new: str, have: Sequence[str], need: Sequence[str]) -> list[str]:
    """The new lines, moved by as much as the old ones stand further in than the block has them."""
    was, should = (_indentation(lines) for lines in (need, have))
    if was == should:
        return new.splitlines()
    return [
        f"{should}{line.removeprefix(was)}" if line.strip() else line for line in new.splitlines()
    ]


def _indentation(lines: Sequence[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    return first[: len(first) - len(first.lstrip())]


def _same(have: Sequence[str], need: Sequence[str]) -> bool:
    return all(a == b for a, b in zip(have, need, strict=False))


def _loosely_same(have: Sequence[str], need: Sequence[str]) -> bool:
    """Whether lines differ in blanks alone, and in how far in all of them stand."""
    if any(" ".join(a.split()) != " ".join(b.split()) for a, b in zip(have, need, strict=False)):
        return False
    steps = {
        len(_indentation([a]).expandtabs()) - len(_indentation([b]).expandtabs())
        for a, b in zip(have, need, strict=False)
        if a.strip()
    }
    return len(steps) <= 1


def _nearest(have: Sequence[str], need: Sequence[str]) -> tuple[int, float, float]:
    """Start of the place that is most like some lines, its likeness, and the next best one's.

    Likeness is the mean over the lines, without their indentation, of that of Ratcliff and
    Obershelp (difflib). Each line has to be like its own one: a block that leaves a line out fits
    nowhere, rather than one line off.
    """
    bare, want = ([line.strip()[:MOST_COMPARED] for line in lines] for lines in (have, need))
    said, ratios = sum(map(bool, want)), list[float]()
    for at in range(max(0, len(bare) - len(want)) + 1):
        pairs = list(zip(bare[at : at + len(want)], want, strict=False))
        equal = sum(bool(a) and a == b for a, b in pairs) / said
        likeness = [0.0]
        if len(pairs) == len(want) and equal >= LEAST_EQUAL:
            likeness = [1.0 if a == b else _likeness(a, b) for a, b in pairs]
        good = min(likeness) >= LEAST_LIKENESS_OF_A_LINE
        ratios.append(sum(likeness) / len(want) if good else equal * LEAST_LIKENESS_OF_A_LINE)
    best = max(range(len(ratios)), key=ratios.__getitem__)
    if not ratios[best]:  # then its first line says where it may have been meant
        first = next(line for line in want if line)
        return max(range(len(bare)), key=lambda at: _likeness(bare[at], first)), 0.0, 0.0
    return best, ratios[best], max((r for at, r in enumerate(ratios) if at != best), default=0.0)


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _nearby(have: Sequence[str], at: int, count: int, number: int) -> str:
    lines = have[at : at + min(count, SHOWN_LINES)]
    shown = "\n".join(f"{at + offset}│ {line}" for offset, line in enumerate(lines, 1))
    return f"The lines that come nearest to block {number} are:\n{shown}"
