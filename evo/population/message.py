"""The message of a variant's commit, with all that is kept of where it came from."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

TITLE_WIDTH, BODY_WIDTH = 72, 72


def commit_message(
    *,
    title: str,
    rationale: str,
    variant: int,
    operator: str,
    parents: Sequence[int],
    run: str,
    subject: str = "",
    role: str = "",
    model: str = "",
) -> str:
    """What `git log` shows: title, rationale, and trailers that git-interpret-trailers(1) reads."""
    trailers = {
        "Evo-Variant": str(variant),
        "Evo-Operator": operator,
        "Evo-Parents": " ".join(map(str, parents)),
        "Evo-Run": run,
        "Evo-Subject": subject,
        "Evo-Role": role,
        "Evo-Model": model,
    }
    head = printable(title) or f"Variant {variant}"
    if len(head) > TITLE_WIDTH:
        head = f"{head[: TITLE_WIDTH - 3].rstrip()}..."
    paragraphs = (printable(part) for part in rationale.split("\n\n"))
    body = [textwrap.fill(part, BODY_WIDTH, break_long_words=False) for part in paragraphs if part]
    lines = [f"{key}: {printable(value)}" for key, value in trailers.items() if value]
    return "\n\n".join([head, *body, "\n".join(lines)]) + "\n"


def printable(text: str) -> str:
    """One line without control codes: titles come from strangers, and git refuses null bytes."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())
