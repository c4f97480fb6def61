"""Filters: a few words by which rows are chosen.

`warmup` is looked for in every text; `op:tune` in one column; `effect<-0.01` compares numbers;
`-word` turns a condition around. All of them must hold. Names may be cut short, as long as one
column begins with them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

Get = Callable[[str], Any]
"""A row's value by the name of its column."""
Filter = Callable[[Get], bool]
_CONDITION = re.compile(r"^(-?)([A-Za-z_]+)(<=|>=|!=|<|>|=|:)(.*)$")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


class FilterError(ValueError):
    """A filter that makes no sense; the text says why."""


def parse(text: str, columns: Sequence[str], searched: Sequence[str]) -> Filter:
    """A filter.

    Args:
        text: What a person typed; nothing lets every row through.
        columns: Names that conditions may use.
        searched: Columns in which words without a name are looked for.

    Raises:
        FilterError: A column isn't there, or a number isn't one.
    """
    conditions = [_condition(word, columns, searched) for word in text.split()]
    return lambda get: all(holds(get) for holds in conditions)


def _condition(word: str, columns: Sequence[str], searched: Sequence[str]) -> Filter:
    found = _CONDITION.match(word)
    if found is None:
        negative, word = word.startswith("-") and len(word) > 1, word.removeprefix("-").lower()
        return lambda get: negative != any(word in _text(get(name)) for name in searched)
    sign, short, relation, value = found.groups()
    name, negative = _column(short.lower(), columns), bool(sign)
    if relation == ":":
        wanted = value.lower()
        return lambda get: negative != (wanted in _text(get(name)))
    compare = _COMPARE[relation]
    try:
        number = float(value)
    except ValueError:
        if relation in ("=", "!="):
            same = relation == "="
            return lambda get: negative != (same == (_text(get(name)) == value.lower()))
        raise FilterError(f"{word}: {value or 'nothing'} isn't a number") from None

    def holds(get: Get) -> bool:
        have = get(name)
        is_number = isinstance(have, int | float)
        return negative != (is_number and compare(float(have), number))

    return holds


def _column(short: str, columns: Sequence[str]) -> str:
    if short in columns:
        return short
    near = [name for name in columns if name.startswith(short)]
    if len(near) == 1:
        return near[0]
    if near:
        raise FilterError(f"{short} could be {', '.join(near)}")
    raise FilterError(f"there is no column {short}; there are {', '.join(columns)}")


def _text(value: Any) -> str:
    return "" if value is None else str(value).lower()
