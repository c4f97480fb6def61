"""Small questions: one line of text, how to leave, and the help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from rich.table import Table
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from evo.text import clean_text
from evo.tui.rows import Rows
from evo.tui.views.place import Pulse

BOX = """
    { align: center middle; background: $background 60%; }
    .box { width: 64; max-width: 95%; height: auto; max-height: 90%; background: $panel;
           padding: 1 2; border: round $primary; }
    .box Static { height: auto; }
    .box .hint { color: $text-muted; margin: 1 0 0 0; }
    .box Input { background: $surface; border: none; height: 1; margin: 1 0 0 0; padding: 0 1; }
    .box OptionList { height: auto; background: $panel; border: none; margin: 1 0 0 0;
                      padding: 0; }
"""


class LeaveHow(StrEnum):
    """What becomes of the engine when a person leaves."""

    DETACH = "detach"
    FINISH = "finish"
    NOW = "now"


class Line(ModalScreen[str | None]):
    """Asks for one line; None if somebody thinks better of it."""

    CSS = f"Line {BOX}".replace("\n    .", "\n    Line .")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Never mind")]

    def __init__(self, question: str, value: str = "") -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._question)
            yield Input(self._value, compact=True)
            yield Static("enter is done, escape thinks better of it", classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_close(self) -> None:
        self.dismiss(None)


class Sure(ModalScreen[bool]):
    """Asks once more before something that can't be taken back."""

    CSS = f"Sure {BOX}".replace("\n    .", "\n    Sure .")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n,q", "answer(False)", "No", show=False),
        Binding("y", "answer(True)", "Yes", show=False),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._question, markup=False)
            yield OptionList("n  No", "y  Yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index == 1)


class Leave(ModalScreen[LeaveHow | None]):
    """Detach, finish, or stop: nobody stops an engine by leaving."""

    CSS = f"Leave {BOX}".replace("\n    .", "\n    Leave .")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Stay"),
        Binding("d,q,ctrl+c", "choose(0)", "Detach", show=False),
        Binding("f", "choose(1)", "Finish", show=False),
        Binding("n", "choose(2)", "Stop now", show=False),
        Binding("j", "step(1)", "Down", show=False),
        Binding("k", "step(-1)", "Up", show=False),
    ]
    HOW = (LeaveHow.DETACH, LeaveHow.FINISH, LeaveHow.NOW)

    def __init__(self, pulse: Pulse) -> None:
        super().__init__()
        self._pulse = pulse

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._question(), markup=False)
            yield OptionList(*self._options())

    def beat(self, pulse: Pulse) -> None:
        """A second has passed: the engine may have ended while somebody was thinking."""
        before, self._pulse = self._pulse, pulse
        if before.alive != pulse.alive and self.is_mounted:
            self.query_one(Static).update(self._question())
            options = self.query_one(OptionList)
            options.clear_options().add_options(self._options())
            options.highlighted = 0

    def _question(self) -> str:
        if self._pulse.alive:
            return "The engine works on. Leave it so?"
        said = self._pulse.beat.message if self._pulse.beat else ""
        return f"The engine has ended meanwhile{': ' if said else ''}{clean_text(said)}."

    def _options(self) -> list[Option]:
        if not self._pulse.alive:
            return [Option("d  Leave: there is nothing to stop any more")]
        trials = len(self._pulse.beat.running) if self._pulse.beat else 0
        ends = "the running trial ends" if trials == 1 else f"the {trials} running trials end"
        return [
            Option("d  Detach: it goes on; `evo tui` looks in again"),
            Option(f"f  Finish: {ends}, then it stops"),
            Option("n  Stop now: running trials are queued again for next time"),
        ]

    def action_step(self, by: int) -> None:
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def action_choose(self, at: int) -> None:
        self.dismiss(self.HOW[at] if self._pulse.alive else LeaveHow.DETACH)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.HOW[event.option_index])

    def action_close(self) -> None:
        self.dismiss(None)


WORDS = (
    ("living", "Variants that parents are drawn from now"),
    ("refused", "Proposals that were never tried: nonsense, or tried before"),
    ("▲ ▼", "A change for the better, and for the worse"),
    ("• ∙", "A trial whose variant was kept, and one whose wasn't"),
    ("★ ● ○ ·", "The champion, its way, kept, not kept"),
    ("again", "A trial that measures a variant once more"),
    ("clear", "A gain of more than two of its standard errors"),
    ("⧗ ✓ ✗", "What was asked waits, was done, was refused"),
)
"""What the screens of a run say in short."""


def keys(app: App[Any]) -> list[tuple[str, str]]:
    """The keys of the place that one is in, with what they do: evo's own, nearest first, and at
    the end those that lead to other screens and those that move."""
    found: dict[str, str] = {}
    for node in app.focused.ancestors_with_self if app.focused else [app.screen, app]:
        for binding in own_bindings(node):
            what = "The screens" if binding.key.isdigit() else binding.description
            key, known = app.get_key_display(binding), found.get(what, "")
            if key not in known.split():
                found[what] = f"{known} {key}".strip()
    moves = [binding.description for binding in Binding.make_bindings(Rows.BINDINGS)]
    ordered = sorted(found.items(), key=lambda one: one[0] in moves and one[0] != "Open")
    return [(names, what) for what, names in ordered]


def own_bindings(node: DOMNode) -> Iterator[Binding]:
    """The keys of evo's own kinds of a node."""
    for kind in type(node).__mro__:
        if kind.__module__.startswith("evo."):
            yield from Binding.make_bindings(kind.__dict__.get("BINDINGS", []))


class Help(ModalScreen[None]):
    """The keys of the place that one came from, and what the screens say in short."""

    CSS = f"Help {BOX}".replace("\n    .", "\n    Help .")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "close", "Close"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(
        self, keys: Sequence[tuple[str, str]], words: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__()
        self._keys, self._words = keys, words

    def compose(self) -> ComposeResult:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="bold", no_wrap=True)
        table.add_column()
        for keys, what in (
            *self._keys,
            ("mouse", "Points at a row, twice opens it; turns to a tab"),
        ):
            table.add_row(keys, what)
        if self._words:
            table.add_row()
        for word, what in self._words:
            table.add_row(word, what)
        with VerticalScroll(classes="box"):
            yield Static(table)

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_close(self) -> None:
        self.dismiss(None)
