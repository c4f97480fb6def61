"""Asking in SQL: what can be asked, how a word goes on, and the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evo.archive.reading import Relation
from evo.text import clean_text

KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "JOIN", "LEFT JOIN", "ON", "USING",
    "AND", "OR", "NOT", "NULL", "IS", "IN", "AS", "DESC", "ASC", "HAVING", "DISTINCT", "CASE",
    "WHEN", "THEN", "ELSE", "END", "WITH", "count(*)", "avg(", "min(", "max(", "sum(", "median(",
    "quantile_cont(", "stddev_samp(", "round(", "coalesce(", "arg_min(", "arg_max(", "DESCRIBE",
    "SUMMARIZE",
)  # fmt: skip
EXAMPLES = (
    ("Which operators paid", "from operator_yield"),
    ("The champion's way", "from champion_path"),
    ("Best variants", "select variant, score, trials, title from lineage order by score limit 20"),
    (
        "Why the last ones failed",
        "select id, variant, status, cause from trials where status <> 'scored' "
        "and seq is not null order by seq desc limit 20",
    ),
    ("Noise of one trial", "from noise"),
    (
        "Family of the champion",
        "from ancestors((select variant from champions order by seq desc limit 1))",
    ),
)
MOST_COMPLETIONS = 8
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*$")


@dataclass(frozen=True, slots=True)
class Help:
    """What one thing that can be asked is."""

    name: str
    kind: str
    words: str
    insert: str
    """What to write to ask it."""


def helps(relations: list[Relation]) -> list[Help]:
    """Macros and views first: they answer questions; then the tables."""
    order = {"view": 0, "macro": 1, "table": 2}
    found = []
    for one in sorted(relations, key=lambda one: (order.get(one.kind, 3), one.name)):
        call = f"{one.name}({', '.join(one.columns)})" if one.kind == "macro" else one.name
        text = one.comment or (f"Call it as {call}" if one.kind == "macro" else "")
        columns = "" if one.kind == "macro" else f" Columns: {', '.join(one.columns)}"
        found.append(Help(one.name, one.kind, clean_text(text + columns), f"from {call}"))
    return found


def complete(text: str, relations: list[Relation]) -> list[str]:
    """How the word at the end of a text may go on; columns of what is mentioned come first."""
    found = _WORD.search(text)
    if found is None:
        return []
    begun = found.group().lower()
    mentioned = set(re.findall(r"[a-z_0-9]+", text.lower()))
    near = [c for one in relations if one.name in mentioned for c in one.columns]
    names = [one.name for one in relations]
    others = [c for one in relations for c in one.columns]
    upper = found.group().isupper()
    keywords = [word if upper else word.lower() for word in KEYWORDS]
    candidates = dict.fromkeys([*near, *names, *keywords, *others])
    hits = [word for word in candidates if word.lower().startswith(begun) and word.lower() != begun]
    return hits[:MOST_COMPLETIONS]


def completed(text: str, word: str) -> str:
    """A text with its last word replaced."""
    return _WORD.sub("", text) + word
