"""A sheet: a table of any length, to be sorted, filtered, narrowed to columns and exported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from evo.archive.reading import Table
from evo.errors import EvoError
from evo.text import clean_text
from evo.tui.views.filtering import parse

MOST_CELL = 60
"""Characters of a cell that are shown; the export has all."""
LEAST_CELL = 3
SAMPLED = 200
"""Rows from which the width of a column is taken."""


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is shown."""

    name: str
    numeric: bool
    width: int
    """Cells."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows, as they came or as they were sorted and filtered."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, table: Table) -> Sheet:
        return cls(table.columns, table.rows)

    def layout(self, shown: Sequence[str] | None = None, *, marked: str = "") -> tuple[Column, ...]:
        """The columns that are shown, in the sheet's order. None shows all.

        Args:
            shown: Names.
            marked: The one whose name has a mark beside it.
        """
        names = self.columns if shown is None else [n for n in self.columns if n in set(shown)]
        return tuple(
            self._column(self.columns.index(name), 2 * (name == marked))
            for name in names or self.columns
        )

    def _column(self, at: int, mark: int) -> Column:
        step = max(1, len(self.rows) // SAMPLED)
        values = [row[at] for row in self.rows[::step]]
        numeric = all(value is None or _is_number(value) for value in values)
        longest = max((len(shown(value)) for value in values), default=0)
        width = max(longest, len(self.columns[at]) + mark, LEAST_CELL)
        return Column(self.columns[at], numeric, min(width, MOST_CELL))

    def sorted(self, column: str, *, largest_first: bool) -> Sheet:
        """Ordered by a column; rows without a value come last either way."""
        at = self.columns.index(column)
        known = [row for row in self.rows if row[at] is not None]
        unknown = [row for row in self.rows if row[at] is None]
        try:
            known.sort(key=lambda row: row[at], reverse=largest_first)
        except TypeError:  # lists, or a column of several kinds
            known.sort(key=lambda row: str(row[at]), reverse=largest_first)
        return Sheet(self.columns, (*known, *unknown))

    def filtered(self, text: str) -> Sheet:
        """The rows that a filter lets through.

        Raises:
            FilterError: It makes no sense.
        """
        keep = parse(text, self.columns, self.columns)
        index = {name: at for at, name in enumerate(self.columns)}
        found = (row for row in self.rows if keep(lambda name, row=row: row[index[name]]))  # type: ignore[misc]
        return Sheet(self.columns, tuple(found))

    def narrowed(self, names: Sequence[str]) -> Sheet:
        """Some of the columns alone."""
        at = [self.columns.index(name) for name in names]
        return Sheet(tuple(names), tuple(tuple(row[one] for one in at) for row in self.rows))

    def as_text(self, separator: str = "\t") -> str:
        """With a line for each row and one for the names, as spreadsheets take it."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=separator, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_plain(value) for value in row] for row in self.rows)
        return out.getvalue()

    def export(self, path: Path) -> None:
        """Writes a new file: JSON, tab-separated or comma-separated, by its name.

        Raises:
            EvoError: It exists, or can't be written.
        """
        if path.suffix == ".json":
            rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
            text = json.dumps(rows, default=str, indent=1)
        else:
            text = self.as_text("\t" if path.suffix == ".tsv" else ",")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise EvoError(f"{path} exists, and evo overwrites nothing; name another") from error
        except OSError as error:
            raise EvoError(f"{path} can't be written: {error.strerror}") from error


def shown(value: Any) -> str:
    """A value as one short line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"{value:%m-%d %H:%M:%S}"
    if isinstance(value, list | tuple):
        return " ".join(shown(one) for one in value)
    text = " ".join(str(value)[: 4 * MOST_CELL].split())
    return clean_text(text)


def _plain(value: Any) -> Any:
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
