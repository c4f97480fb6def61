"""Tuning: a number or a switch among a file's constants is moved by a step that suits its size.

Constants are the module's upper-case assignments. A file that runs on two kinds of machine writes
them in two columns, `DEPTH = (2, 8)[CUDA]`; only the column of this machine is moved.
"""

from __future__ import annotations

import ast
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from evo.nouns import Brief, Proposal
from evo.operators.operator import Shelf, refuse, settle
from evo.operators.steps import step
from evo.population.syntax import SourceError, tree_of

TWO_AT_ONCE = 0.2
"""Share of proposals that move two constants: a pair may help where neither does alone."""
COLUMN_INDEX = "CUDA"
MOST_BITS = 63
"""Larger integers are masks or moduli, not quantities."""
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_LINE_START = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a switch, and where it stands in the text."""

    label: str
    """The constant's name; with an index if it is part of a tuple."""
    value: bool | int | float
    line: int
    """From 1."""
    start: int
    """Bytes from the start of the line, as `end`."""
    end: int


class Tune:
    """Moves one constant, sometimes two; or sets those that the brief's subject names, as JSON.

    Args:
        column: Which column of a two-column constant counts: 0 for the CPU, 1 for CUDA.
    """

    name = "tune"

    def __init__(self, column: int) -> None:
        self._column = column

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "tune takes a parent, but got none")
        chance, source = random.Random(brief.seed), shelf.source(brief.parents[0])
        try:
            literals = find_literals(source, self._column)
        except SourceError as error:
            return refuse(brief, str(error))
        if not literals:
            return refuse(
                brief, "there is no number or switch among the upper-case constants to tune"
            )
        if brief.subject:
            return _set(brief, source, literals)
        wanted = 2 if chance.random() < TWO_AT_ONCE else 1
        chosen = chance.sample(literals, min(wanted, len(literals)))
        return _move(brief, source, chosen, lambda each, was: step(each.value, was, chance))


def _set(brief: Brief, source: str, literals: list[Literal]) -> Proposal:
    """Gives constants the values that the brief names, as JSON."""
    try:
        values = json.loads(brief.subject)
        wanted = {str(label): value for label, value in dict(values).items()}
    except (ValueError, TypeError):
        return refuse(brief, f"tune takes values as JSON of a label each, not {brief.subject!r}")
    known = {each.label: each for each in literals}
    for label, value in wanted.items():
        if label not in known:
            return refuse(brief, f"there is no constant {label} to set")
        if not isinstance(value, bool | int | float) or not math.isfinite(value):
            return refuse(brief, f"{label} takes a number or a switch, not {value!r}")
    chosen = [known[label] for label, value in wanted.items() if value != known[label].value]
    return _move(brief, source, chosen, lambda each, _: repr(wanted[each.label]))


def _move(
    brief: Brief, source: str, chosen: list[Literal], text_of: Callable[[Literal, str], str]
) -> Proposal:
    """Writes other values into a text: `text_of` says which, of what stands there now."""
    lines = [line.encode() for line in _LINE_START.split(source)]
    told: list[str] = []
    # From the end, so that offsets in a line that is changed twice stay right.
    for each in sorted(chosen, key=lambda each: (each.line, each.start), reverse=True):
        line = lines[each.line - 1]
        was = line[each.start : each.end].decode()
        now = text_of(each, was)
        lines[each.line - 1] = line[: each.start] + now.encode() + line[each.end :]
        told.insert(0, f"{each.label} {was} -> {now}")
    return settle(
        brief,
        source,
        b"".join(lines).decode(),
        title=", ".join(told),
        rationale=f"Moves {' and '.join(told)}; nothing else changes.",
    )


def find_literals(source: str, column: int) -> list[Literal]:
    """What can be tuned in a text, in its order.

    Raises:
        SourceError: The text isn't Python.
    """
    found: list[Literal] = []
    for node in tree_of(source).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target = node.target
        else:
            continue
        # A seed is the referee's: moving it is luck, not progress.
        if isinstance(target, ast.Name) and _CONSTANT.match(target.id) and "SEED" not in target.id:
            assert node.value is not None
            found += _literals(target.id, node.value, column)
    return found


def _literals(label: str, node: ast.expr, column: int) -> Iterator[Literal]:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Tuple):
        columns = node.value.elts
        is_column = isinstance(node.slice, ast.Name) and node.slice.id == COLUMN_INDEX
        if is_column and len(columns) == 2:
            yield from _literals(label, columns[column], column)
    elif isinstance(node, ast.Tuple | ast.List):
        for index, each in enumerate(node.elts):
            yield from _literals(f"{label}[{index}]", each, column)
    else:
        value = _value(node)
        if value is not None and node.end_col_offset is not None and node.lineno == node.end_lineno:
            yield Literal(label, value, node.lineno, node.col_offset, node.end_col_offset)


def _value(node: ast.expr) -> bool | int | float | None:
    """Of a number, a negative one, a switch, or a power such as `2**19`."""
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return value if _is_usual(value) else None
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value if _is_usual(value) and not isinstance(value, bool) else None
        case ast.BinOp(
            op=ast.Pow(), left=ast.Constant(value=2), right=ast.Constant(value=int() as power)
        ):
            return int(2**power) if 0 < power < MOST_BITS else None
        case _:
            return None


def _is_usual(value: float) -> bool:
    return math.isfinite(value) if isinstance(value, float) else value < 1 << MOST_BITS
