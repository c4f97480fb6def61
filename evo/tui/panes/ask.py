"""Ask: any question to the published archive, in SQL, with what there is to ask beside it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea
from textual.worker import get_current_worker

from evo.archive.reading import Reader, Relation, Table
from evo.errors import ArchiveError
from evo.tui.dialogs import Line
from evo.tui.grid import Grid
from evo.tui.panes.pane import Pane
from evo.tui.panes.table import export
from evo.tui.rows import Rows
from evo.tui.theme import palette
from evo.tui.views import asking
from evo.tui.views.asking import Help
from evo.tui.views.place import Place
from evo.tui.views.plotting import Layer, plot
from evo.tui.views.sheet import Sheet
from evo.tui.views.snapshot import Snapshot

MOST_ROWS = 20_000
"""Rows of an answer that are fetched."""
FEW_POINTS = 60
"""So many are drawn as marks, for one dot is hardly seen."""
FIRST = "from operator_yield"


class Question(TextArea):
    """Where SQL is written: enter asks, tab completes, up and down at the edges go through what
    was asked before.

    Until somebody writes, numbers turn to other screens as they do elsewhere.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,f5,ctrl+j", "ask", "Ask", priority=True),
        Binding("alt+enter,ctrl+o", "newline", "New line", priority=True),
        Binding("tab", "complete", "Complete", priority=True),
        Binding("escape", "stop", "Stop writing", priority=True),
    ]

    class Asked(Message):
        """Somebody wants this answered."""

        def __init__(self, sql: str) -> None:
            super().__init__()
            self.sql = sql

    class BrokenOff(Message):
        """Somebody doesn't want to wait."""

    def __init__(self, *, id: str) -> None:
        super().__init__(FIRST, id=id, soft_wrap=True, compact=True)
        self.relations: list[Relation] = []
        self.questions: list[str] = []
        self._at: int | None = None
        self._offered: str | None = FIRST

    def offer(self, text: str) -> None:
        """Puts a text there that nobody has touched yet."""
        self.text = self._offered = text
        self.move_cursor(self.document.end)

    def write(self) -> None:
        """Somebody comes to go on with what is there."""
        self._offered = None
        self.focus()

    @property
    def untouched(self) -> bool:
        """Whether a number can't be meant for the text: it is empty, or as it was offered and has
        no number at its end that could go on."""
        if not self.text:
            return True
        at_end = self.cursor_location == self.document.end
        return self.text == self._offered and at_end and not self.text[-1].isdecimal()

    def action_ask(self) -> None:
        if self.text.strip():
            self._at = None
            self.post_message(self.Asked(self.text.strip()))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_stop(self) -> None:
        self.post_message(self.BrokenOff())

    def before(self) -> str:
        """The text before the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    def completions(self) -> list[str]:
        return asking.complete(self.before(), self.relations)

    def action_complete(self) -> None:
        found = self.completions()
        if not found:
            self.screen.focus_next()
            return
        text = self.before()
        whole = asking.completed(text, found[0])
        begun = len(text) - (len(whole) - len(found[0]))
        row, column = self.cursor_location
        self.replace(found[0], (row, column - begun), (row, column))

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        """Whether a key is written here, and not for the screen."""
        if key.isdecimal() and self.untouched:
            return False
        return super().check_consume_key(key, character)

    def on_key(self, event: events.Key) -> None:
        row, _ = self.cursor_location
        if not self.check_consume_key(event.key, event.character) and event.is_printable:
            event.prevent_default()  # it goes on to the screen
        elif event.key == "up" and row == 0:
            self._recall(-1)
            event.prevent_default()
        elif event.key == "down" and row == self.document.line_count - 1:
            self._recall(1)
            event.prevent_default()

    def _recall(self, by: int) -> None:
        if not self.questions:
            return
        at = (len(self.questions) if self._at is None else self._at) + by
        self._at = min(max(at, 0), len(self.questions) - 1)
        self.text = self.questions[self._at]
        self.move_cursor(self.document.end)


class Catalogue(Rows):
    """Examples, then everything that can be asked."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.entries: list[Help] = []

    def show(self, entries: list[Help]) -> None:
        self.entries = entries
        self.renew()

    def count(self) -> int:
        return len(self.entries)

    def row(self, at: int) -> Text:
        one = self.entries[at]
        styles = {"example": "", "view": "title", "macro": "info", "table": "dim"}
        return self.palette.text([(f"{one.kind:<8}", "faint"), (one.name, styles[one.kind])])


class Plot(ModalScreen[None]):
    """An answer as a plot: the first column of numbers along, each other one up."""

    CSS = """
    Plot { align: center middle; background: $background 60%; }
    Plot Static { width: 90%; height: 80%; background: $panel; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,p", "dismiss", "Close")]
    STYLES = ("line", "kept", "good", "bad", "info")

    def __init__(self, sheet: Sheet) -> None:
        super().__init__()
        self._sheet = sheet

    def compose(self) -> ComposeResult:
        yield Static()

    def on_resize(self) -> None:
        widget, colours = self.query_one(Static), palette(self.app.current_theme)
        along, names, layers = series(self._sheet)
        width, height = int(self.size.width * 0.9) - 6, int(self.size.height * 0.8) - 4
        rows = plot(layers, width, height, keep=1.0)
        text = Text()
        for name, layer in zip(names, layers, strict=True):
            text.append(f"● {name}  ", colours[layer.style])
        text.append(f"over {along}" if along else "row by row", colours["dim"])
        for row in rows:
            text.append("\n").append_text(colours.text(row))
        widget.update(text if rows else "There are no numbers to draw.")


def series(sheet: Sheet) -> tuple[str | None, list[str], list[Layer]]:
    """The column along, and names and layers of the others; a single one is drawn row by row."""
    numeric = [column.name for column in sheet.layout() if column.numeric]
    at = {name: sheet.columns.index(name) for name in numeric}
    along = numeric[0] if len(numeric) > 1 else None
    names = [name for name in numeric if name != along][: len(Plot.STYLES)]
    layers = []
    for name, style in zip(names, Plot.STYLES, strict=False):
        points = [
            (row[at[along]] if along else number, row[at[name]])
            for number, row in enumerate(sheet.rows)
            if row[at[name]] is not None and (along is None or row[at[along]] is not None)
        ]
        mark = "•" if len(points) <= FEW_POINTS else ""
        layers.append(Layer([x for x, _ in points], [y for _, y in points], style, mark=mark))
    return along, names, layers


class AskPane(Pane):
    """A question, its answer, and what there is to ask."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    AskPane { padding: 0 1; }
    #question { height: 5; background: $surface; border: none; padding: 0 1; }
    .-short #question { height: 3; }
    #completions { height: 1; color: $text-muted; }
    #answer-note { height: auto; max-height: 3; }
    #ask-side { width: 34; padding: 0 0 0 2; }
    .-huge #ask-side { width: 60; }
    .-narrow #ask-sides { layout: vertical; }
    .-narrow #ask-main { height: auto; }
    .-narrow #answer { display: none; }
    .-narrow #ask-side { width: 1fr; padding: 0; }
    .-narrow AskPane.-answered #ask-main { height: 1fr; }
    .-narrow AskPane.-answered #answer { display: block; }
    .-narrow AskPane.-answered #ask-side { display: none; }
    #explained { height: auto; max-height: 12; color: $text-muted; padding: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "plot", "Plot"),
        Binding("e", "export", "Export"),
        Binding("y", "copy", "Copy", show=False),
        Binding("i,slash", "write", "Write", show=False),
        Binding("escape", "break_off", "Break off", show=False),
    ]

    class Answered(Message):
        """A question was answered or refused."""

        def __init__(self, sql: str, table: Table | None, error: str, seconds: float) -> None:
            super().__init__()
            self.sql, self.table, self.error, self.seconds = sql, table, error, seconds

    class Listed(Message):
        """What there is to ask was read."""

        def __init__(self, relations: list[Relation]) -> None:
            super().__init__()
            self.relations = relations

    def __init__(self, place: Place, *, id: str) -> None:
        super().__init__(place, id=id)
        self._reader: Reader | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="ask-sides"):
            with Vertical(id="ask-main"):
                yield Question(id="question")
                yield Static(id="completions")
                yield Static(id="answer-note")
                yield Grid(id="answer")
            with Vertical(id="ask-side"):
                yield Static("What there is to ask", classes="caption")
                yield Catalogue(id="catalogue")
                yield Static(id="explained")

    def on_mount(self) -> None:
        question = self.query_one(Question)
        question.questions = self.run_app.state.questions
        question.offer(question.questions[-1] if question.questions else FIRST)
        self._say(
            "enter asks, tab completes, up and down recall; escape leaves the question", "dim"
        )

    def show(self, snapshot: Snapshot) -> None:
        if not self.query_one(Question).relations:
            self._list()

    def settle(self) -> None:
        self.query_one(Question).focus()

    @work(thread=True, exclusive=True, group="relations")
    def _list(self) -> None:
        try:
            with Reader.open(self.place.archive) as reader:
                self.post_message(self.Listed(reader.relations()))
        except ArchiveError:
            return  # the banner says so

    def on_ask_pane_listed(self, message: Listed) -> None:
        self.query_one(Question).relations = message.relations
        examples = [Help(name, "example", sql, sql) for name, sql in asking.EXAMPLES]
        self.query_one(Catalogue).show([*examples, *asking.helps(message.relations)])

    # Asking

    def on_question_asked(self, message: Question.Asked) -> None:
        self.run_app.state.asked(message.sql)
        self.query_one(Question).questions = self.run_app.state.questions
        self._say("asking… escape breaks it off", "info")
        self._ask(message.sql)

    @work(thread=True, exclusive=True, group="ask")
    def _ask(self, sql: str) -> None:
        worker, began = get_current_worker(), self.run_app.clock()
        table, error = None, ""
        try:
            with Reader.open(self.place.archive) as reader:
                self._reader = reader
                table = reader.query(sql, most_rows=MOST_ROWS)
        except ArchiveError as caught:
            error = str(caught)
        finally:
            self._reader = None
        if not worker.is_cancelled:
            self.post_message(self.Answered(sql, table, error, self.run_app.clock() - began))

    def on_question_broken_off(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()
        else:
            answer = self.query_one("#answer", Grid)
            (answer if answer.display else self.query_one(Catalogue)).focus()

    def action_break_off(self) -> None:
        if self._reader is not None:
            self._reader.interrupt()
        else:
            self.query_one(Question).write()

    def on_ask_pane_answered(self, message: Answered) -> None:
        if message.table is None:
            self.remove_class("-answered")
            self._say(message.error, "bad")
            return
        self.add_class("-answered")
        count = len(message.table.rows)
        more = " (the first; use LIMIT)" if count == MOST_ROWS else ""
        rows = f"{count:,} row{'s' if count != 1 else ''}{more} in {message.seconds:.2f} s"
        self._say(rows, "dim")
        grid = self.query_one("#answer", Grid)
        snapshot = self.run_app.snapshot
        champion = snapshot.champion if snapshot else None
        accent = ("variant", champion) if champion is not None else None
        grid.show(Sheet.of(message.table), accent=accent)
        if grid.cursor:
            grid.cursor = 0
        if message.table.rows and self.app.focused is self.query_one(Question):
            grid.focus()

    def _say(self, text: str, style: str) -> None:
        self.query_one("#answer-note", Static).update(Text(text, self.palette[style]))

    # Writing

    def on_text_area_changed(self) -> None:
        found = self.query_one(Question).completions()
        pieces = [(f"{word}  ", "info" if not at else "dim") for at, word in enumerate(found)]
        self.query_one("#completions", Static).update(self.palette.text(pieces))

    def on_rows_moved(self, event: Rows.Moved) -> None:
        if isinstance(event.rows, Catalogue) and event.rows.entries:
            one = event.rows.entries[event.at]
            self.query_one("#explained", Static).update(Text(one.words))

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        question = self.query_one(Question)
        if isinstance(event.rows, Catalogue):
            question.text = event.rows.entries[event.at].insert
            question.move_cursor(question.document.end)
            question.write()
        elif (variant := self.selected()) is not None:
            self.run_app.open_variant(variant)

    def selected(self) -> int | None:
        row = self.query_one("#answer", Grid).current()
        value = row.get("variant") if row else None
        return value if isinstance(value, int) else None

    def action_write(self) -> None:
        self.remove_class("-answered")
        self.query_one(Question).write()

    # The answer

    def action_plot(self) -> None:
        self.app.push_screen(Plot(self.query_one("#answer", Grid).sheet))

    @work
    async def action_export(self) -> None:
        question = "Write the answer to (.csv, .tsv or .json)"
        name = await self.app.push_screen_wait(Line(question, "answer.csv"))
        if name:
            export(self, self.query_one("#answer", Grid).sheet, name)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.query_one("#answer", Grid).sheet.as_text())
        self.app.notify("the answer is copied", timeout=2)
