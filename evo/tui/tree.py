"""The family on the screen: lines with a cursor, folds and a filter."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from evo.tui.rows import Rows
from evo.tui.views import lineage as view
from evo.tui.views.filtering import FilterError
from evo.tui.views.lineage import Family, Line
from evo.tui.views.snapshot import Snapshot


class Tree(Rows):
    """The family."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Read"),
        Binding("space", "fold", "Fold"),
        Binding("right,l", "open", "Open", show=False),
        Binding("left,h", "shut", "Shut, or to the parent", show=False),
        Binding("z", "fold_all", "Fold all", show=False),
        Binding("c", "champion", "Champion"),
    ]

    class Changed(Message):
        """Other lines are in sight."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.family: Family | None = None
        self.folded: frozenset[int] = frozenset()
        self.query_text = ""
        self._lines: list[Line] = []

    def show(self, snapshot: Snapshot) -> None:
        """Another snapshot; the cursor stays on its variant."""
        here, first = self.variant, self.family is None
        self.family = Family(snapshot)
        if first:
            self.folded = self.family.first_folds()
        self._rebuild(snapshot.champion if first else here)

    def filter(self, text: str) -> None:
        """Shows what matches, with its ancestors; the cursor goes to a match.

        Raises:
            FilterError: The text makes no sense; what is shown stays.
        """
        before, self.query_text = self.query_text, text
        try:
            self._rebuild(self.variant)
        except FilterError:
            self.query_text = before
            raise
        if self._lines and self._lines[self.cursor].dimmed:
            self.cursor = next(at for at, line in enumerate(self._lines) if not line.dimmed)
            self.reveal()

    def _rebuild(self, keep: int | None) -> None:
        if self.family is None:
            return
        here = self._lines[self.cursor] if self._lines else None
        under = here.under if here is not None and here.row.id == keep else None
        self._lines = self.family.lines(self.folded, self.query_text)
        self.renew()
        self.point(keep, under)
        self.post_message(self.Changed())

    def point(self, variant: int | None, under: int | None = None) -> None:
        """Moves the cursor to a variant that is in the tree; opens what hides it.

        Args:
            variant: Which.
            under: Its line below this second parent, if that is in sight.
        """
        if variant is None or self.family is None:
            return
        at = self._find(variant, under)
        if at is None and not self.query_text:
            hiding = frozenset(self.family.ancestors(variant))
            if hiding & self.folded:
                self.folded -= hiding
                self._lines = self.family.lines(self.folded, self.query_text)
                self.renew()
                at = self._find(variant)
        if at is not None:
            self.cursor = at
            self.reveal()

    def _find(self, variant: int, under: int | None = None) -> int | None:
        lines = {line.under: at for at, line in enumerate(self._lines) if line.row.id == variant}
        return lines.get(under, lines.get(None))

    @property
    def variant(self) -> int | None:
        """The one under the cursor."""
        return self._lines[self.cursor].row.id if self._lines else None

    @property
    def in_sight(self) -> int:
        """Variants that aren't hidden."""
        return sum(line.under is None for line in self._lines)

    def count(self) -> int:
        return len(self._lines)

    def row(self, at: int) -> Text:
        assert self.family is not None
        noise = self.family.snapshot.noise
        return self.palette.text(view.pieces(self._lines[at], self.family, self.room, noise))

    # Folding

    def action_fold(self) -> None:
        if (here := self.variant) is not None and self._lines[self.cursor].children:
            self.folded ^= {here}
            self._rebuild(here)

    def action_choose(self) -> None:
        if self._lines and self._lines[self.cursor].under is not None:
            self.point(self.variant)
        else:
            super().action_choose()

    def action_open(self) -> None:
        if (here := self.variant) is not None and here in self.folded:
            self.folded -= {here}
            self._rebuild(here)

    def action_shut(self) -> None:
        if self.family is None or (here := self.variant) is None:
            return
        line = self._lines[self.cursor]
        if line.children and not line.folded:
            self.folded |= {here}
            self._rebuild(here)
        elif line.row.parents:
            self.point(line.row.parents[0] if line.under is None else line.under)

    def action_fold_all(self) -> None:
        if self.family is not None:
            off_path = self.family.foldable() - self.family.path
            self.folded = frozenset() if self.folded >= off_path else off_path
            self._rebuild(self.variant)

    def action_champion(self) -> None:
        if self.family is not None:
            self.point(self.family.snapshot.champion)
