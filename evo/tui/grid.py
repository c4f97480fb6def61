"""The grid: a sheet on the screen, numbers to the right, its names staying on top."""

from __future__ import annotations

from rich.text import Text
from textual.message import Message

from evo.report import words
from evo.tui.rows import Rows
from evo.tui.views.sheet import Column, Sheet, shown

GAP = 2
DIFFERENCES = ("effect", "mean_gain", "from_baseline")
"""Columns that are shown with a sign."""


def _shown(name: str, value: object) -> str:
    if isinstance(value, float) and name in DIFFERENCES:
        return words.effect(value)
    return shown(value)


class Grid(Rows):
    """A sheet of any length."""

    DEFAULT_CSS = "Grid { overflow-x: auto; }"

    class HeaderClicked(Message):
        """Somebody clicked a column's name."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, header_lines=1)
        self.sheet = Sheet((), ())
        self._layout: tuple[Column, ...] = ()
        self._at: list[int] = []
        self._sort: tuple[str, bool] | None = None
        self._accent: tuple[int, object] | None = None

    def show(
        self,
        sheet: Sheet,
        columns: list[str] | None = None,
        *,
        sort: tuple[str, bool] | None = None,
        accent: tuple[str, object] | None = None,
    ) -> None:
        """Shows a sheet.

        Args:
            sheet: Sorted and filtered already.
            columns: Those that are shown; None shows all.
            sort: Column and direction, to be marked in the header.
            accent: Rows with this value in this column are the champion's.
        """
        self.sheet, self._sort = sheet, sort
        self._layout = sheet.layout(columns, marked=sort[0] if sort else "")
        self._at = [sheet.columns.index(column.name) for column in self._layout]
        self._accent = None
        if accent is not None and accent[0] in sheet.columns:
            self._accent = (sheet.columns.index(accent[0]), accent[1])
        self.renew()

    def count(self) -> int:
        return len(self.sheet.rows)

    def wide(self) -> int:
        total = sum(column.width + GAP for column in self._layout)
        return max(total - GAP, self.room)

    def header(self, line: int) -> Text:
        text = Text(no_wrap=True)
        for column in self._layout:
            name = column.name
            if self._sort is not None and self._sort[0] == name:
                name += " ▼" if self._sort[1] else " ▲"
            name = name[: column.width]
            placed = name.rjust(column.width) if column.numeric else name.ljust(column.width)
            text.append(placed + " " * GAP, self.palette["header"])
        return text

    def row(self, at: int) -> Text:
        row, text = self.sheet.rows[at], Text(no_wrap=True)
        mine = self._accent is not None and row[self._accent[0]] == self._accent[1]
        for column, index in zip(self._layout, self._at, strict=True):
            cell = Text(_shown(column.name, row[index]))
            cell.truncate(column.width, overflow="ellipsis")
            cell.align("right" if column.numeric else "left", column.width)
            cell.stylize(self.palette[self._style(column, row[index], mine=mine)])
            text.append_text(cell).append(" " * GAP)
        return text

    def _style(self, column: Column, value: object, *, mine: bool) -> str:
        if mine:
            return "champion"
        if column.name == "better" and isinstance(value, bool):
            return "good" if value else "bad"
        if column.name == "status" and value != "scored":
            return "info" if value in ("queued", "running") else "bad"
        return "dim" if column.name in ("commit", "created_at", "finished_at", "cause") else ""

    def click_header(self, x: int) -> None:
        left = 0
        for column in self._layout:
            left += column.width + GAP
            if x < left:
                self.post_message(self.HeaderClicked(column.name))
                return

    def current(self) -> dict[str, object] | None:
        """The row under the cursor; None in an empty sheet."""
        if not self.sheet.rows:
            return None
        return dict(zip(self.sheet.columns, self.sheet.rows[self.cursor], strict=True))
