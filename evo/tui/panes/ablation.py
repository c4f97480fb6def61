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
from evo.tui.panes.pane import Pane
from evo.tui.rows import Rows
from evo.tui.views import ablation as view
from evo.tui.views.ablation import Fall
from evo.tui.views.snapshot import Snapshot


class Waterfall(Rows):
    """The champion's steps."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, header_lines=1)
        self.falls: tuple[Fall, ...] = ()

    def show(self, falls: tuple[Fall, ...]) -> None:
        self.falls = falls
        self.renew()

    def count(self) -> int:
        return len(self.falls)

    def header(self, line: int) -> Text:
        return self.palette.text([(view.HEADER, "header")])

    def row(self, at: int) -> Text:
        return self.palette.text(view.pieces(self.falls[at], self.falls, self.room))


class AblationPane(Pane):
    """The waterfall, with what its words mean."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    AblationPane { padding: 0 1; }
    #ablation-note { height: auto; color: $text-muted; padding: 0 0 1 0; }
    .-short #ablation-note { padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "In the lineage")]

    class Read(Message):
        """The waterfall was read."""

        def __init__(self, falls: tuple[Fall, ...], error: str) -> None:
            super().__init__()
            self.falls, self.error = falls, error

    def compose(self) -> ComposeResult:
        yield Static(id="ablation-note")
        yield Waterfall(id="waterfall")

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
        self.query_one(Waterfall).show(message.falls)
        note.update(self.palette.text([(NOTE if message.falls else "No champion yet.", "dim")]))

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
