"""Rows: a list of any length of which only the lines in sight are ever drawn."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.theme import Theme

from evo.tui.theme import Palette, palette

KEPT_STRIPS = 1_000


class Rows(ScrollView, can_focus=True):
    """Lines with a cursor. Whoever inherits says how many there are and how each looks."""

    DEFAULT_CSS = """
    Rows { height: 1fr; background: $background; scrollbar-size-vertical: 1;
           scrollbar-size-horizontal: 1; overflow-x: hidden; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d,ctrl+f", "move_page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u,ctrl+b", "move_page(-1)", "Page up", show=False),
        Binding("home,g", "move_to(0)", "First", show=False),
        Binding("end,G", "move_to(-1)", "Last", show=False),
        Binding("enter", "choose", "Open", show=False),
        Binding("shift+right", "sidle(8)", "Right", show=False),
        Binding("shift+left", "sidle(-8)", "Left", show=False),
    ]
    cursor = var(0)

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, rows: Rows, at: int) -> None:
            super().__init__()
            self.rows, self.at = rows, at

        @property
        def control(self) -> Rows:
            return self.rows

    class Chosen(Moved):
        """Somebody pressed enter on a row, or clicked it twice."""

    def __init__(self, *, id: str | None = None, header_lines: int = 0) -> None:
        super().__init__(id=id)
        self.header_lines = header_lines
        self._strips: LRUCache[tuple[object, ...], Strip] = LRUCache(KEPT_STRIPS)
        self._generation = 0
        self._palette: Palette | None = None

    @property
    def room(self) -> int:
        """Cells that a row has."""
        return self.scrollable_content_region.width

    # What is shown

    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def row(self, at: int) -> Text:
        """A row's text; control codes are out of it already."""
        raise NotImplementedError

    def header(self, line: int) -> Text:
        """A line that stays on top."""
        return Text("")

    def wide(self) -> int:
        """Cells of the widest row; 0 means that rows are cut at the edge."""
        return 0

    @property
    def palette(self) -> Palette:
        if self._palette is None:
            self._palette = palette(self.app.current_theme)
        return self._palette

    def renew(self) -> None:
        """Draws everything anew, after what is shown has changed."""
        self._generation += 1
        count = self.count()
        self.virtual_size = Size(self.wide() or self.room, count + self.header_lines)
        if self.cursor >= count:
            self.cursor = max(count - 1, 0)
        self.refresh()

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, left = self.room, self.scroll_offset.x
        if y < self.header_lines:
            key: tuple[object, ...] = ("header", y, width, left, self._generation)
            if key not in self._strips:
                self._strips[key] = self._strip(self.header(y), left, width)
            return self._strips[key]
        at = y - self.header_lines + self.scroll_offset.y
        if not 0 <= at < self.count():
            return Strip.blank(width, self.rich_style)
        state = (2 if self.has_focus else 1) if at == self.cursor and self.shows_cursor else 0
        key = (at, state, width, left, self._generation)
        if key not in self._strips:
            self._strips[key] = self._strip(self.row(at), left, width, state)
        return self._strips[key]

    @property
    def shows_cursor(self) -> bool:
        return True

    def _strip(self, text: Text, left: int, width: int, state: int = 0) -> Strip:
        if cell_len(text.plain.rstrip()) > left + width:  # whoever reads it sees that it goes on
            text = text.copy()
            text.truncate(left + width, overflow="ellipsis")
        segments = [
            part for part in text.render(self.app.console) if part.text and part.text != "\n"
        ]
        base = self.rich_style
        if state:
            mark = self.palette["cursor" if state == 2 else "resting"]
            # The cursor's background goes above a row's own.
            # Where it turns colours around, each of the row's would become a patch.
            own = not mark.reverse
            segments = [
                Segment(part.text, ((part.style or base) if own else base) + mark)
                for part in segments
            ]
            base = base + mark
        strip = Strip(Segment.apply_style(segments, base))
        return strip.crop_extend(left, left + width, base)

    # Moving

    def watch_cursor(self, before: int, now: int) -> None:
        if before == now:
            return
        for at in (before, now):  # a terminal at the end of a slow line is sent these two alone
            self.refresh_line(at + self.header_lines)
        self.reveal()
        self.post_message(self.Moved(self, now))

    def validate_cursor(self, at: int) -> int:
        return min(max(at, 0), max(self.count() - 1, 0))

    def reveal(self) -> None:
        """Scrolls so that the cursor is in sight."""
        height = max(self.size.height - self.header_lines, 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    def action_move(self, by: int) -> None:
        self.cursor += by

    def action_move_page(self, by: int) -> None:
        self.cursor += by * max(self.size.height - self.header_lines - 1, 1)

    def action_move_to(self, at: int) -> None:
        self.cursor = at if at >= 0 else self.count() + at

    def action_sidle(self, by: int) -> None:
        self.scroll_relative(x=by, animate=False)

    def action_choose(self) -> None:
        if self.count():
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        at = event.y - self.header_lines + self.scroll_offset.y
        if event.y < self.header_lines:
            self.click_header(event.x + self.scroll_offset.x)
        elif 0 <= at < self.count():
            self.cursor = at
            if event.chain == 2:
                self.action_choose()

    def click_header(self, x: int) -> None:
        """Somebody clicked the header at a cell."""

    # Changes from outside

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._repaint)
        self.renew()

    def on_resize(self) -> None:
        self.renew()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _repaint(self, _: Theme) -> None:
        self._palette = None
        self.renew()

    def scroll_to_region(self, region: Region, **_: object) -> None:  # type: ignore[override]
        """The cursor decides what is in sight, not who has the focus."""


class TextRows(Rows):
    """Lines of text, made when they come into sight."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[Text] = []

    @property
    def shows_cursor(self) -> bool:
        return False

    def action_move(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False)

    def show(self, lines: list[Text]) -> None:
        if lines != self._lines:
            self._lines = lines
            self.renew()

    def count(self) -> int:
        return len(self._lines)

    def row(self, at: int) -> Text:
        return self._lines[at]
