"""What is kept between sessions: the screen, the theme, filters, columns and questions."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

FILE = "tui.json"
MOST_QUESTIONS = 200
MOST_PLACES = 50
"""Archives whose filters are kept, those that were looked at last."""


class State(msgspec.Struct, kw_only=True):
    """What a person left as it was; a file of another shape counts as none."""

    path: str = ""
    """Where it is kept; empty means nowhere."""
    theme: str = ""
    screen: str = "overview"
    filters: dict[str, dict[str, str]] = {}
    """By archive, then by screen: what is looked for in one says nothing of another."""
    columns: dict[str, list[str]] = {}
    """Those shown, by kind of table."""
    sort: dict[str, tuple[str, bool]] = {}
    """Column, and whether the largest comes first, by kind of table."""
    questions: list[str] = []
    """Asked in SQL, oldest first."""

    @classmethod
    def load(cls, path: Path) -> State:
        """What was kept; a fresh state if there is nothing, or nonsense."""
        try:
            state = msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            state = cls()
        state.path = str(path)
        return state

    def save(self) -> None:
        """Keeps it. A place that can't be written loses it: no reason to trouble anybody."""
        if not self.path:
            return
        path = Path(self.path)
        data = msgspec.json.encode(self)
        with contextlib.suppress(OSError):
            if path.exists() and path.read_bytes() == data:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.tmp")
            beside.write_bytes(data)
            beside.replace(path)

    def filter_of(self, archive: Path, screen: str) -> str:
        """What a screen was filtered by when the archive was looked at last."""
        return self.filters.get(str(archive), {}).get(screen, "")

    def keep_filter(self, archive: Path, screen: str, text: str) -> None:
        """Keeps what a screen is filtered by."""
        own = self.filters.pop(str(archive), {}) | {screen: text}
        self.filters[str(archive)] = {name: kept for name, kept in own.items() if kept}
        for oldest in list(self.filters)[:-MOST_PLACES]:
            del self.filters[oldest]

    def asked(self, question: str) -> None:
        """Adds a question to the history; one that was asked before moves to its end."""
        if question in self.questions:
            self.questions.remove(question)
        self.questions = [*self.questions, question][-MOST_QUESTIONS:]
