"""Where commands print: text as it is, whoever wrote it."""

from __future__ import annotations

from rich.console import Console


def plain_console() -> Console:
    """A console that takes nothing for markup: a stranger's title may hold a link, or `[/b]`."""
    return Console(markup=False, emoji=False)
