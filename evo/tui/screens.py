"""The screen of a run, with a tab for each pane, and the one that says that there is no room."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Footer, Static

from evo.report import words
from evo.tui.panes.pane import Pane
from evo.tui.views.overview import Health, Severity, health
from evo.tui.views.place import Place, Pulse
from evo.tui.views.snapshot import Snapshot
from evo.tui.views.state import State

PANES = {
    "overview": "OverviewPane",
    "lineage": "LineagePane",
    "table": "TablePane",
    "ablation": "AblationPane",
    "ask": "AskPane",
    "program": "ProgramPane",
}
"""Modules in evo.tui.panes, and what each defines."""


def make_pane(name: str, place: Place) -> Pane:
    """A pane; its module is loaded when somebody turns to it, for the first picture to be quick."""
    module = import_module(f"evo.tui.panes.{name}")
    pane: Pane = getattr(module, PANES[name])(place, id=name)
    return pane


class Keys(Footer):
    """The keys of the place that one is in: as many whole ones as there is room for.

    Those that lead to all others stay.
    """

    KEPT: ClassVar[tuple[str, ...]] = ("help", "steer", "leave", "command_palette")
    _made_for: int | None = None

    def compose(self) -> ComposeResult:
        keys = [*super().compose()]
        widths = {key: self._cells(key) for key in keys}
        left = self.app.size.width - sum(widths[key] for key in keys if self._stays(key))
        for key in keys:
            if not self._stays(key):
                left -= widths[key]
            if self._stays(key) or left >= 0:
                yield key

    def on_resize(self, event: events.Resize) -> None:
        if self._made_for not in (None, event.size.width):
            self.call_after_refresh(self.recompose)
        self._made_for = event.size.width

    def _stays(self, key: Widget) -> bool:
        return str(getattr(key, "action", "")).rpartition(".")[2] in self.KEPT

    @staticmethod
    def _cells(key: Widget) -> int:
        shown = (getattr(key, "key_display", ""), getattr(key, "description", ""))
        return len("   ") + sum(map(cell_len, shown))


class RunScreen(Screen[None]):
    """A run: a line of tabs, what is wrong, a pane, the keys."""

    TABS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("overview", "Overview"),
        ("lineage", "Lineage"),
        ("table", "Table"),
        ("ablation", "Ablation"),
        ("ask", "Ask"),
        ("program", "Program"),
    )
    CSS = """
    #top { height: 1; background: $panel; }
    #tabs { width: 1fr; height: 1; background: $panel; padding: 0 1; }
    #banner { height: auto; padding: 0 1; display: none; }
    #banner.-danger { background: $error; color: $background; text-style: bold; }
    #banner.-warning { background: $panel; color: $warning; text-style: bold; }
    #banner.-good { background: $panel; color: $success; }
    ContentSwitcher { height: 1fr; }
    Keys { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"goto('{name}')", title, show=False)
            for number, (name, title) in enumerate(TABS, 1)
        ),
        Binding("right_square_bracket,ctrl+right", "turn(1)", "Next screen", show=False),
        Binding("left_square_bracket,ctrl+left", "turn(-1)", "Previous screen", show=False),
    ]

    def __init__(self, place: Place, first: str) -> None:
        super().__init__()
        self._place = place
        self.current = first if first in PANES else "overview"
        self._snapshot: Snapshot | None = None
        self._pulse: Pulse | None = None
        self._health: Health | None = None
        self._shown: dict[str, Snapshot] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="tabs")
        yield Static(id="banner")
        yield ContentSwitcher(make_pane(self.current, self._place), initial=self.current)
        yield Keys(show_command_palette=True)

    def on_mount(self) -> None:
        self._write_tabs()
        self._pane.settle()

    @property
    def _pane(self) -> Pane:
        return self.query_one(f"#{self.current}", Pane)

    # News

    def show(self, snapshot: Snapshot) -> None:
        """Another copy of the archive was published."""
        self._snapshot = snapshot
        self._refresh_pane()

    def beat(self, pulse: Pulse, snapshot: Snapshot | None, trouble: str) -> None:
        """A second has passed."""
        self._pulse = pulse
        state = health(pulse, snapshot, self._place.flag)
        if trouble and state.severity < Severity.DANGER:
            state = Health(Severity.DANGER, trouble)
        if state != self._health:
            self._health = state
            banner = self.query_one("#banner", Static)
            banner.display = bool(state.text)
            banner.set_classes(f"-{state.severity.name.lower()}")
            banner.update(Content(state.text))
        self._write_tabs()
        self._pane.beat(pulse, snapshot)

    def _refresh_pane(self) -> None:
        snapshot = self._snapshot
        if snapshot is not None and self._shown.get(self.current) is not snapshot:
            self._shown[self.current] = snapshot
            self._pane.show(snapshot)

    # Tabs

    async def action_goto(self, name: str) -> None:
        switcher = self.query_one(ContentSwitcher)
        if not switcher.query(f"#{name}"):
            await switcher.mount(make_pane(name, self._place))
        self.current = switcher.current = name
        self._write_tabs()
        self._refresh_pane()
        if self._pulse is not None:
            self._pane.beat(self._pulse, self._snapshot)
        self._pane.settle()

    def goto(self, name: str) -> None:
        """Turns to a pane."""
        self.run_worker(self.action_goto(name), exclusive=True, group="goto")

    def open_variant(self, variant: int) -> None:
        """Turns to the lineage, at a variant."""

        async def turn() -> None:
            await self.action_goto("lineage")
            self._pane.point(variant)

        self.run_worker(turn(), exclusive=True, group="goto")

    async def action_turn(self, by: int) -> None:
        names = [name for name, _ in self.TABS]
        await self.action_goto(names[(names.index(self.current) + by) % len(names)])

    def _write_tabs(self) -> None:
        narrow, right = self.app.size.width < 100, self._phase(self.app.size.width < 100)
        left = self._tabs(narrow=narrow, titled=True)
        room = self.app.size.width - 3 - right.cell_length
        if left.cell_length > room:
            left = self._tabs(narrow=narrow, titled=False)
        gap = Content(" " * max(room - left.cell_length + 1, 1))
        self.query_one("#tabs", Static).update(Content.assemble(left, gap, right), layout=False)

    def _tabs(self, *, narrow: bool, titled: bool) -> Content:
        """The run and its tabs; the others are numbers where there is no room for titles."""
        name = self._place.name[:10] if narrow else f"evo {self._place.name}"
        parts = [Content.styled(f"{name} ", "bold $accent")]
        for number, (name, title) in enumerate(self.TABS, 1):
            here = name == self.current
            style = "bold $foreground on $background" if here else "$text-muted"
            pad = " " if here or not narrow else ""
            label = Content.from_markup(
                f"[@click=screen.goto('{name}')]$shown[/]",
                shown=f"{pad}{number} {title if titled or here else ''}".rstrip() + " ",
            )
            parts.append(label.stylize(style))
        return Content.assemble(*parts)

    def _phase(self, narrow: bool) -> Content:
        pulse = self._pulse
        if pulse is None:
            return Content("")
        if pulse.beat is None or not pulse.alive:
            over = pulse.beat is not None and pulse.beat.phase.over
            text = f"○ {pulse.beat.phase}" if over and pulse.beat else "○ archive"
            if pulse.beat is not None and not over:
                return Content.styled("✗ gone", "bold $error")
            return Content.styled(text, "$text-muted")
        style = "$success" if pulse.beat.phase == "searching" else "$warning"
        clock = "" if narrow else f" {words.duration(pulse.beat.seconds)}"
        phase = Content.styled(f"● {pulse.beat.phase}{clock}", style)
        if not pulse.pending:
            return phase
        return Content.assemble(Content.styled(f"⧗{len(pulse.pending)} ", "bold $warning"), phase)

    def on_resize(self) -> None:
        if self.is_mounted:
            self._write_tabs()

    # For the app

    def selected(self) -> int | None:
        """The variant that a person points at."""
        return self._pane.selected()

    def keep(self, state: State) -> None:
        """Notes what each pane wants to find again."""
        for pane in self.query(Pane):
            pane.keep(state)


class TooSmall(Screen[None]):
    """Says how much room is needed."""

    CSS = "TooSmall { align: center middle; } TooSmall Static { width: auto; text-align: center; }"

    def __init__(self, least: tuple[int, int]) -> None:
        super().__init__()
        self._least = least

    def compose(self) -> ComposeResult:
        width, height = self._least
        yield Static(f"evo needs {width}×{height}\nhere are {self._here()}")

    def on_resize(self) -> None:
        width, height = self._least
        self.query_one(Static).update(f"evo needs {width}×{height}\nhere are {self._here()}")

    def _here(self) -> str:
        return f"{self.app.size.width}×{self.app.size.height}"
