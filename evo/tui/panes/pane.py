"""What every screen of a run is: it is told of news, and draws them when it is in sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Static

from evo.tui.theme import Palette, palette
from evo.tui.views.place import Place, Pulse
from evo.tui.views.plotting import Piece
from evo.tui.views.snapshot import Snapshot
from evo.tui.views.state import State

if TYPE_CHECKING:
    from evo.tui.app import RunApp


class Pane(Vertical):
    """One screen of a run."""

    DEFAULT_CSS = "Pane { height: 1fr; }"

    def __init__(self, place: Place, *, id: str) -> None:
        super().__init__(id=id)
        self.place = place
        self._put: dict[str, Text] = {}

    @property
    def run_app(self) -> RunApp:
        return cast("RunApp", self.app)

    @property
    def palette(self) -> Palette:
        return palette(self.app.current_theme)

    def put(self, selector: str, text: Text) -> None:
        """Shows a text in a `Static`, and lays nothing out anew where its height is the same."""
        before = self._put.get(selector)
        if text == before and text.spans == before.spans:
            return
        self._put[selector] = text
        same_height = before is not None and before.plain.count("\n") == text.plain.count("\n")
        self.query_one(selector, Static).update(text, layout=not same_height)

    def put_lines(self, selector: str, lines: Sequence[list[Piece]]) -> None:
        """Shows lines, or nothing where there are none."""
        self.query_one(selector).display = bool(lines)
        self.put(selector, Text("\n").join(map(self.palette.text, lines)))

    def show(self, snapshot: Snapshot) -> None:
        """Another copy of the archive was published, or this screen has come into sight."""

    def beat(self, pulse: Pulse, snapshot: Snapshot | None) -> None:
        """A second has passed."""

    def point(self, variant: int | None) -> None:
        """Moves to a variant, where this screen can."""

    def selected(self) -> int | None:
        """The variant that a person points at; None if this screen has none."""
        return None

    def keep(self, state: State) -> None:
        """Notes what is to be found again in the next session."""

    def settle(self) -> None:
        """The screen has come into sight: something in it takes the keys."""
