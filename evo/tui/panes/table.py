"""The table: every variant or every trial, sorted, filtered, and taken elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, SelectionList, Static
from textual.worker import get_current_worker

from evo.archive.reading import Reader
from evo.errors import ArchiveError, EvoError
from evo.tui.dialogs import Line
from evo.tui.grid import Grid
from evo.tui.panes.pane import Pane
from evo.tui.rows import Rows
from evo.tui.views.filtering import FilterError
from evo.tui.views.place import Place
from evo.tui.views.sheet import Sheet
from evo.tui.views.snapshot import Snapshot
from evo.tui.views.state import State


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the tables."""

    name: str
    sql: str
    first: tuple[str, ...]
    """Columns that are shown before anybody has chosen."""
    key: str
    """Column with the variant."""


KINDS = (
    Kind(
        "variants",
        "SELECT l.variant, l.score, l.effect, l.trials, l.operator, l.title, l.parents, l.std, "
        "v.role, v.model, v.subject, l.lines, l.commit, l.created_at "
        "FROM lineage l JOIN variants v ON v.id = l.variant ORDER BY l.variant DESC",
        ("variant", "score", "effect", "trials", "operator", "title", "parents"),
        "variant",
    ),
    Kind(
        "trials",
        "SELECT t.id AS trial, t.variant, t.status, t.score, t.standing, t.purpose, v.operator, "
        "v.title, t.training_seconds, t.total_seconds, t.tokens_per_second, t.steps, "
        "t.peak_memory_mb, t.parameters, t.seed, t.attempt, t.device, t.started_at, "
        "t.finished_at, t.cause FROM trials t JOIN variants v ON v.id = t.variant "
        "ORDER BY t.id DESC",
        ("trial", "variant", "status", "score", "standing", "operator", "title", "cause"),
        "variant",
    ),
    Kind(
        "proposals",
        "SELECT id AS proposal, operator, outcome, title, parents, subject, role, model, seconds, "
        "made_at, twin, cause FROM proposals ORDER BY id DESC",
        ("proposal", "operator", "outcome", "title", "cause"),
        "twin",
    ),
)


class Columns(ModalScreen[list[str] | None]):
    """Which columns are shown."""

    CSS = """
    Columns { align: center middle; background: $background 60%; }
    Columns Vertical { width: 40; height: auto; max-height: 90%; background: $panel;
                       padding: 1 2; border: round $primary; }
    Columns SelectionList { height: auto; max-height: 24; background: $panel; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,c,q", "close", "Done"),
    ]

    def __init__(self, columns: tuple[str, ...], chosen: list[str]) -> None:
        super().__init__()
        self._columns, self._chosen = columns, chosen

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("Columns: space chooses, escape is done")
            yield SelectionList(*((name, name, name in self._chosen) for name in self._columns))

    def action_close(self) -> None:
        chosen = set(self.query_one(SelectionList).selected)
        self.dismiss([name for name in self._columns if name in chosen] or None)


class TablePane(Pane):
    """A grid, a filter, and where it can be taken."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    TablePane { padding: 0 1; }
    #table-note { height: 1; }
    #table-filter { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "kind", "Kind of table"),
        Binding("slash", "filter", "Filter"),
        Binding("o", "order", "Order by"),
        Binding("O", "turn", "Turn around", show=False),
        Binding("c", "columns", "Columns"),
        Binding("y", "copy", "Copy row", show=False),
        Binding("Y", "copy_all", "Copy all", show=False),
        Binding("e", "export", "Export"),
        Binding("enter", "open", "In the lineage", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    class Read(Message):
        """A table was read."""

        def __init__(self, kind: str, sheet: Sheet | None, error: str) -> None:
            super().__init__()
            self.kind, self.sheet, self.error = kind, sheet, error

    def __init__(self, place: Place, *, id: str) -> None:
        super().__init__(place, id=id)
        self._snapshot: Snapshot | None = None
        self._kind = KINDS[0]
        self._all: Sheet | None = None
        self._trouble = ""

    def compose(self) -> ComposeResult:
        yield Static(id="table-note")
        yield Grid(id="table-grid")
        yield Input(placeholder=FILTER_HELP, id="table-filter", compact=True)

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    def on_mount(self) -> None:
        field = self.query_one(Input)
        with field.prevent(Input.Changed):
            field.value = self.run_app.state.filter_of(self.place.archive, "table")
        field.display = bool(field.value)

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._fetch(self._kind)

    def settle(self) -> None:
        self.grid.focus()

    def selected(self) -> int | None:
        row = self.grid.current()
        value = row.get(self._kind.key) if row else None
        return value if isinstance(value, int) else None

    def keep(self, state: State) -> None:
        state.keep_filter(self.place.archive, "table", self.query_one(Input).value)

    # Reading

    @work(thread=True, exclusive=True, group="table")
    def _fetch(self, kind: Kind) -> None:
        worker = get_current_worker()
        sheet, error = None, ""
        try:
            with Reader.open(self.place.archive) as reader:
                sheet = Sheet.of(reader.query(kind.sql))
        except ArchiveError as caught:
            error = str(caught)
        if not worker.is_cancelled:
            self.post_message(self.Read(kind.name, sheet, error))

    def on_table_pane_read(self, message: Read) -> None:
        if message.kind != self._kind.name:
            return
        self._trouble = message.error
        if message.sheet is not None:
            self._all = message.sheet
        self._refresh()

    def _refresh(self) -> None:
        sheet, state, kind = self._all, self.run_app.state, self._kind
        if sheet is None:
            return
        here = self.grid.current()
        trouble = self._trouble
        try:
            sheet = sheet.filtered(self.query_one(Input).value)
        except FilterError as error:
            trouble = str(error)
        sort = state.sort.get(kind.name)
        if sort is not None and sort[0] in sheet.columns:
            sheet = sheet.sorted(sort[0], largest_first=sort[1])
        champion = self._snapshot.champion if self._snapshot else None
        accent = (kind.key, champion) if champion is not None else None
        self.grid.show(sheet, self._columns(), sort=sort, accent=accent)
        if here is not None:
            key = here.get(sheet.columns[0])
            at = next((n for n, row in enumerate(sheet.rows) if row[0] == key), None)
            if at is not None:
                self.grid.cursor = at
        count = f"{len(sheet.rows):,} of {len(self._all.rows):,} {kind.name}" if self._all else ""
        if self._all is not None and len(sheet.rows) == len(self._all.rows):
            count = f"{len(sheet.rows):,} {kind.name}"
        style = "bad" if trouble else "dim"
        self.query_one("#table-note", Static).update(self.palette.text([(trouble or count, style)]))

    def _columns(self) -> list[str]:
        kept = self.run_app.state.columns.get(self._kind.name)
        return kept or list(self._kind.first)

    # What people do

    def action_kind(self) -> None:
        at = (KINDS.index(self._kind) + 1) % len(KINDS)
        self._kind, self._all = KINDS[at], None
        self._fetch(self._kind)

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._refresh()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Input).display = bool(event.value)
        self.grid.focus()

    def action_back(self) -> None:
        field = self.query_one(Input)
        field.value = ""
        field.display = False
        self.grid.focus()

    def action_order(self) -> None:
        """Orders by the next of the columns that are shown."""
        names, sort = self._columns(), self.run_app.state.sort.get(self._kind.name)
        at = names.index(sort[0]) + 1 if sort and sort[0] in names else 0
        if at >= len(names):
            self.run_app.state.sort.pop(self._kind.name, None)
        else:
            self.run_app.state.sort[self._kind.name] = (names[at], False)
        self._refresh()

    def action_turn(self) -> None:
        sort = self.run_app.state.sort.get(self._kind.name)
        if sort is not None:
            self.run_app.state.sort[self._kind.name] = (sort[0], not sort[1])
            self._refresh()

    def on_grid_header_clicked(self, event: Grid.HeaderClicked) -> None:
        sort = self.run_app.state.sort.get(self._kind.name)
        turned = sort is not None and sort[0] == event.column and not sort[1]
        self.run_app.state.sort[self._kind.name] = (event.column, turned)
        self._refresh()

    @work
    async def action_columns(self) -> None:
        if self._all is None:
            return
        chosen = await self.app.push_screen_wait(Columns(self._all.columns, self._columns()))
        if chosen:
            self.run_app.state.columns[self._kind.name] = chosen
            self._refresh()

    def action_copy(self) -> None:
        row = self.grid.current()
        if row is not None:
            one = Sheet(self.grid.sheet.columns, (tuple(row.values()),))
            self.app.copy_to_clipboard(one.as_text())
            self.app.notify("the row is copied", timeout=2)

    def action_copy_all(self) -> None:
        self.app.copy_to_clipboard(self.grid.sheet.narrowed(self._columns()).as_text())
        self.app.notify(f"{len(self.grid.sheet.rows):,} rows are copied", timeout=2)

    @work
    async def action_export(self) -> None:
        question = "Write what is shown to (.csv, .tsv or .json)"
        name = await self.app.push_screen_wait(Line(question, f"{self._kind.name}.csv"))
        if name:
            export(self, self.grid.sheet.narrowed(self._columns()), name)

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        if (variant := self.selected()) is not None:
            self.run_app.open_variant(variant)


FILTER_HELP = "words, operator:tune, score<1.2, status:crashed, -word"


def export(pane: Pane, sheet: Sheet, name: str) -> None:
    """Writes a sheet to a new file, and says so."""
    try:
        sheet.export(Path(name).expanduser())
    except EvoError as error:
        pane.app.notify(str(error), severity="error")
    else:
        pane.app.notify(f"{len(sheet.rows):,} rows are in {name}")
