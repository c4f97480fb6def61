"""The ablation: what each diff on the champion's way brought, as a waterfall."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from evo.archive.reading import Reader
from evo.errors import ArchiveError
from evo.tui.colouring import diff_line
from evo.tui.panes.pane import Pane
from evo.tui.rows import Rows, TextRows
from evo.tui.views import ablation as view
from evo.tui.views.ablation import Fall
from evo.tui.views.plotting import Piece
from evo.tui.views.snapshot import Snapshot


class Waterfall(Rows):
    """The champion's steps."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "In the lineage")]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, header_lines=1)
        self.falls: tuple[Fall, ...] = ()

    def show(self, falls: tuple[Fall, ...]) -> None:
        self.falls = falls
        self.renew()

    def count(self) -> int:
        return len(self.falls)

    def header(self, line: int) -> Text:
        return self.palette.text([(view.header(self.room), "header")])

    def row(self, at: int) -> Text:
        return self.palette.text(view.pieces(self.falls[at], self.falls, self.room))


class AblationPane(Pane):
    """The waterfall, with what its words mean."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    AblationPane { padding: 0 1; }
    #waterfall { max-height: 50%; }
    #change { height: 1fr; border-top: solid $panel; }
    #ablation-note { height: auto; color: $text-muted; padding: 0 0 1 0; }
    .-short #ablation-note { padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "In the lineage", show=False),
        Binding("tab", "other", "Read the change"),
    ]

    class Read(Message):
        """The waterfall was read."""

        def __init__(self, falls: tuple[Fall, ...], error: str) -> None:
            super().__init__()
            self.falls, self.error = falls, error

    def compose(self) -> ComposeResult:
        yield Static(id="ablation-note")
        yield Waterfall(id="waterfall")
        yield TextRows(id="change")

    def show(self, snapshot: Snapshot) -> None:
        self._fetch(snapshot)

    def settle(self) -> None:
        self.query_one(Waterfall).focus()

    def selected(self) -> int | None:
        rows = self.query_one(Waterfall)
        return rows.falls[rows.cursor].row.id if rows.falls else None

    @work(thread=True, exclusive=True, group="ablation")
    def _fetch(self, snapshot: Snapshot) -> None:
        worker = get_current_worker()
        falls: tuple[Fall, ...] = ()
        error = ""
        try:
            with Reader.open(self.place.archive) as reader:
                falls = view.waterfall(reader, snapshot)
        except ArchiveError as caught:
            error = str(caught)
        if not worker.is_cancelled:
            self.post_message(self.Read(falls, error))

    def on_ablation_pane_read(self, message: Read) -> None:
        note = self.query_one("#ablation-note", Static)
        if message.error:
            note.update(self.palette.text([(message.error, "bad")]))
            return
        rows = self.query_one(Waterfall)
        first = not rows.falls
        rows.styles.height = len(message.falls) + rows.header_lines
        rows.show(message.falls)
        if first and (best := view.most_helpful(message.falls)) is not None:
            rows.cursor = message.falls.index(best)
        self._show_change()
        note.update(self.palette.text([(NOTE if message.falls else "No champion yet.", "dim")]))

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._show_change()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_change)

    def _show_change(self) -> None:
        rows, change = self.query_one(Waterfall), self.query_one("#change", TextRows)
        if rows.falls:
            lines = view.change(rows.falls[rows.cursor], max(change.room - 1, 30))
            change.show([self._line(line) for line in lines])
            change.scroll_home(animate=False)

    def _line(self, line: list[Piece]) -> Text:
        if len(line) == 1 and line[0][1] == "diff":
            return diff_line(line[0][0], self.palette, dark=self.app.current_theme.dark)
        return self.palette.text(line)

    def action_other(self) -> None:
        rows = self.query_one(Waterfall)
        (self.query_one("#change") if rows.has_focus else rows).focus()

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        if (variant := self.selected()) is not None:
            self.run_app.open_variant(variant)


NOTE = (
    "What each diff on the champion's way brought. Clear: more than two standard errors. "
    "Without it: what a descendant lost when it was taken out."
)
