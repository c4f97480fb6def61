"""The start screen: the runs of a project with a sparkline each, to choose one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Footer, Static

from evo.tui import theme
from evo.tui.dialogs import Help, keys
from evo.tui.rows import Rows
from evo.tui.views import runs as view
from evo.tui.views.place import Place
from evo.tui.views.runs import Summary

WORDS = (
    ("● ○", "Its engine is at work, or isn't"),
    ("▇▅▃▂", "The best score so far, from the first trial to the last"),
)


class RunRows(Rows):
    """A line for each run."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Open")]

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(id="runs")
        self.summaries: list[Summary] = []
        self._clock = clock

    def add(self, summary: Summary) -> None:
        self.summaries.append(summary)
        self.summaries.sort(key=lambda one: (not one.alive, -one.published_at))
        self.renew()

    def count(self) -> int:
        return len(self.summaries)

    def row(self, at: int) -> Text:
        return self.palette.text(view.pieces(self.summaries[at], self._clock(), self.room))


class StartApp(App[Place]):
    """Choose a run.

    Args:
        places: The runs.
        name: Of the theme.
        clock: Unix seconds.
    """

    TITLE = "evo"
    CSS = """
    Screen { background: $background; }
    #caption { height: 3; padding: 1 1 0 1; }
    Footer { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q,escape,ctrl+c,ctrl+q", "quit", "Leave"),
    ]

    class Read(Message):
        """A run was read."""

        def __init__(self, summary: Summary) -> None:
            super().__init__()
            self.summary = summary

    def __init__(
        self, places: Sequence[Place], name: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._places, self._wanted, self._clock = places, name, clock
        for one in (theme.DARK, theme.LIGHT):
            self.register_theme(one)

    def compose(self) -> ComposeResult:
        yield Static(id="caption")
        yield RunRows(self._clock)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.theme = theme.chosen(self._wanted)
        count = len(self._places)
        text = [("evo  ", "champion"), (f"{count} run{'s' if count != 1 else ''}", "dim")]
        self.query_one("#caption", Static).update(theme.palette(self.current_theme).text(text))
        self.query_one(RunRows).focus()
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        for place in self._places:
            self.post_message(self.Read(view.summarise(place)))

    def on_start_app_read(self, message: Read) -> None:
        self.query_one(RunRows).add(message.summary)

    def on_rows_chosen(self, event: Rows.Chosen) -> None:
        self.exit(self.query_one(RunRows).summaries[event.at].place)

    def action_help(self) -> None:
        self.push_screen(Help(keys(self), WORDS))

    def action_open(self) -> None:
        self.query_one(RunRows).action_choose()
