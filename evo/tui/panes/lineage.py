"""The lineage: the family as a tree, and beside it everything about the variant pointed at."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from evo.engine.inbox import Verb
from evo.errors import ArchiveError
from evo.report import words
from evo.tui.colouring import diff_line
from evo.tui.panes.pane import Pane
from evo.tui.rows import Rows
from evo.tui.steering import favour_choice
from evo.tui.tree import Tree
from evo.tui.views import variant as variant_view
from evo.tui.views.filtering import FilterError
from evo.tui.views.lending import Lender
from evo.tui.views.place import Place
from evo.tui.views.snapshot import Snapshot
from evo.tui.views.state import State
from evo.tui.views.variant import Detail, Page

READ_SECONDS = 0.08
"""A variant is read when the cursor has rested so long: who scrolls isn't held up."""


class DetailRows(Rows):
    """Everything about one variant, to be read from the top down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "section(1)", "Next part"),
        Binding("N", "section(-1)", "Part before", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._page = Page((), {})

    def show(self, page: Page, *, again: bool) -> None:
        """Shows a page; the cursor stays where it was if it is of the same variant."""
        self._page = page
        if not again:
            self.set_reactive(Rows.cursor, 0)
            self.scroll_to(y=0, animate=False, immediate=True)
        self.renew()

    def count(self) -> int:
        return len(self._page.lines)

    def wide(self) -> int:
        return max(self.room, 200)

    @property
    def shows_cursor(self) -> bool:
        return self.has_focus

    def row(self, at: int) -> Text:
        line = self._page.lines[at]
        if len(line) == 1 and line[0][1] == "diff":
            return diff_line(line[0][0], self.palette, dark=self.app.current_theme.dark)
        return self.palette.text(line)

    def action_section(self, by: int) -> None:
        starts = sorted(self._page.sections.values())
        if by > 0:
            target = next((at for at in starts if at > self.cursor), self.count() - 1)
        else:
            target = next((at for at in reversed(starts) if at < self.cursor), 0)
        self.cursor = target
        self.scroll_to(y=target, animate=False)


class LineagePane(Pane):
    """Tree and detail."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    #tree-side { width: 1fr; }
    #detail { width: 1fr; padding: 0 0 0 1; border-left: solid $panel; display: none; }
    .-wide #detail, .-huge #detail { display: block; }
    LineagePane.-reading #detail { display: block; }
    .-narrow LineagePane.-reading #tree-side { display: none; }
    #tree-note { height: 1; padding: 0 1; color: $text-muted; }
    #tree-filter { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("enter", "read", "Read", show=False),
        Binding("escape", "back", "Back", show=False),
        Binding("tab", "other", "Other side", show=False),
        Binding("R", "replicate", "Replicate", show=False),
        Binding("T", "retry", "Retry", show=False),
        Binding("plus", "favour('pin')", "Pin, or unpin", key_display="+", show=False),
        Binding("minus", "favour('ban')", "Ban, or lift it", key_display="-", show=False),
    ]

    class Read(Message):
        """A variant was read."""

        def __init__(self, detail: Detail | None, error: str) -> None:
            super().__init__()
            self.detail, self.error = detail, error

    def __init__(self, place: Place, *, id: str) -> None:
        super().__init__(place, id=id)
        self._snapshot: Snapshot | None = None
        self._timer: Timer | None = None
        self._detail: Detail | None = None
        self._lender = Lender(place)

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="tree-side"):
                yield Static(id="tree-note")
                yield Tree(id="tree")
                yield Input(placeholder=FILTER_HELP, id="tree-filter", compact=True)
            yield DetailRows(id="detail")

    @property
    def family_tree(self) -> Tree:
        return self.query_one(Tree)

    def on_mount(self) -> None:
        kept = self.run_app.state.filter_of(self.place.archive, "lineage")
        if kept:
            self.query_one(Input).value = kept
            self.query_one(Input).display = True

    def on_unmount(self) -> None:
        self._lender.close()

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.family_tree.show(snapshot)
        self._note()
        self._read_soon()

    def settle(self) -> None:
        self.family_tree.focus()

    def point(self, variant: int | None) -> None:
        self.family_tree.point(variant)

    def selected(self) -> int | None:
        return self.family_tree.variant

    def keep(self, state: State) -> None:
        state.keep_filter(self.place.archive, "lineage", self.family_tree.query_text)

    def _note(self, trouble: str = "") -> None:
        note, snapshot = self.query_one("#tree-note", Static), self._snapshot
        if snapshot is None:
            return
        if trouble:
            note.update(self.palette.text([(trouble, "bad")]))
            return
        shown, kept = self.family_tree.in_sight, sum(row.kept for row in snapshot.rows)
        text = f"{len(snapshot.rows):,} variants, {kept:,} were kept"
        if shown != len(snapshot.rows):
            text += f", {shown:,} in sight"
        noise = f"  noise of a trial {words.score(snapshot.noise)}" if snapshot.noise else ""
        note.update(self.palette.text([(text + noise, "dim")]))

    def on_tree_changed(self, event: Tree.Changed) -> None:
        event.stop()
        self._note()
        self._read_soon()

    # The filter

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            self.family_tree.filter(event.value)
        except FilterError as error:
            self._note(str(error))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Input).display = bool(event.value)
        self.family_tree.focus()

    # The detail

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        if event.rows is self.family_tree:
            self._read_soon()

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        self.action_read()

    def _read_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(READ_SECONDS, self._read_now)

    def _read_now(self) -> None:
        variant, snapshot = self.family_tree.variant, self._snapshot
        if variant is not None and snapshot is not None:
            self._fetch(variant, snapshot)

    @work(thread=True, exclusive=True, group="detail")
    def _fetch(self, variant: int, snapshot: Snapshot) -> None:
        worker = get_current_worker()
        detail, error = None, ""
        try:
            with self._lender.lend() as reader:
                if worker.is_cancelled:  # while it waited for the reader
                    return
                detail = variant_view.read(reader, snapshot, self.place, variant)
        except ArchiveError as caught:
            error = str(caught)
        if not worker.is_cancelled:
            self.post_message(self.Read(detail, error))

    def on_lineage_pane_read(self, message: Read) -> None:
        if message.error:
            self._note(message.error)
        if message.detail is None or self._snapshot is None or self.family_tree.family is None:
            return
        again = self._detail is not None and self._detail.row.id == message.detail.row.id
        self._detail = message.detail
        self._lay_out(again=again)

    def _lay_out(self, *, again: bool) -> None:
        rows, family = self.query_one(DetailRows), self.family_tree.family
        if self._detail is None or self._snapshot is None or family is None:
            return
        children = family.children(self._detail.row.id)
        width = max(rows.room - 1, 30)
        rows.show(variant_view.page(self._detail, self._snapshot, children, width), again=again)

    def on_resize(self) -> None:
        self.call_after_refresh(self._lay_out, again=True)

    def action_read(self) -> None:
        self.add_class("-reading")
        self.query_one(DetailRows).focus()
        self.call_after_refresh(self._lay_out, again=True)

    def action_back(self) -> None:
        field = self.query_one(Input)
        if field.has_focus or (field.display and not self.has_class("-reading")):
            field.value = ""
            field.display = False
        self.remove_class("-reading")
        self.family_tree.focus()

    def action_other(self) -> None:
        if self.query_one(DetailRows).has_focus:
            self.action_back()
        else:
            self.action_read()

    # Steering

    def action_replicate(self) -> None:
        if (variant := self.family_tree.variant) is not None:
            self.run_app.ask(Verb.REPLICATE, variant=str(variant))

    def action_retry(self) -> None:
        if (variant := self.family_tree.variant) is not None:
            self.run_app.ask(Verb.RETRY, variant=str(variant))

    def action_favour(self, verb: str) -> None:
        variant = self.family_tree.variant
        row = self._snapshot.row(variant) if self._snapshot and variant is not None else None
        if row is not None:
            choice = favour_choice(Verb(verb), row, "", {"variant": str(row.id)})
            self.run_app.ask(choice.verb, **choice.arguments)


FILTER_HELP = "words, op:tune, status:crashed, effect<-0.01, kept:true, -word"
