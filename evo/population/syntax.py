"""Source text read as Python, without letting a strange text hurt the process that reads it.

Texts come from strangers. The parser of libcst is native code that overflows its stack on a few
thousand brackets, which ends the whole process; Python's own parser refuses that text. So it comes
first, and what is nested deeper than anybody writes is refused before libcst sees it.
"""

from __future__ import annotations

import ast
import threading
from contextlib import suppress

import libcst as cst

from evo.errors import EvoError

MOST_BYTES = 256 * 1024
MOST_LEVELS = 200
"""Levels of the syntax tree: written code has under 30, `1 + 1 + ...` has one for each sum."""
MOST_BITS = 14_000
"""Of an integer: Python writes out no more than 4,300 digits."""

MOST_PARSES = 5
_parsing = threading.Lock()


class SourceError(EvoError):
    """A text is not Python, or not Python that is safe to work on."""


def tree_of(source: str) -> ast.Module:
    """The syntax tree of a text.

    Raises:
        SourceError: It doesn't parse, is too long, or is nested too deeply.
    """
    try:
        size = len(source.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise SourceError(f"it isn't text that can be saved as UTF-8: {error.reason}") from error
    if size > MOST_BYTES:
        raise SourceError(f"it has {size} bytes; at most {MOST_BYTES} are taken")
    if "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
        raise SourceError(f"line {line} holds a null byte; remove it")
    try:
        tree = _parse(source)
    except SyntaxError as error:
        raise SourceError(f"it isn't Python: line {error.lineno or 1}: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise SourceError(_too_deep()) from error
    except ValueError as error:  # an integer of thousands of digits
        raise SourceError(f"it isn't Python: {error}") from error
    if _is_deeper(tree, MOST_LEVELS):
        raise SourceError(_too_deep())
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise SourceError("it isn't Python that can be written out: a number is too long")
    return tree


def _parse(source: str) -> ast.Module:
    """Python's own parser, by one thread at a time: its count of levels is one for all threads,
    and a thread that comes between raises SystemError (CPython issue 106905).
    """
    for _ in range(MOST_PARSES):
        with _parsing, suppress(SystemError):  # a thread that isn't ours came between
            return ast.parse(source)
    raise SourceError("Python's parser broke off; propose it again")


def module_of(source: str) -> cst.Module:
    """The concrete syntax of a text, with every blank and comment.

    Raises:
        SourceError: As `tree_of`.
    """
    tree_of(source)
    try:
        return cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise SourceError(f"it isn't Python: line {error.raw_line}: {error.message}") from error


def _is_deeper(tree: ast.AST, levels: int) -> bool:
    front: list[ast.AST] = [tree]
    for _ in range(levels):
        front = [child for node in front for child in ast.iter_child_nodes(node)]
        if not front:
            return False
    return True


def _too_deep() -> str:
    return f"it is nested too deeply; at most {MOST_LEVELS} levels of syntax are taken"
