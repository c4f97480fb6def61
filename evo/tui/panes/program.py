"""The program: what the human asks of the operators, and what each of its versions brought."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import ClassVar

from textual import work
from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Markdown, Static

from evo.archive.reading import Reader
from evo.errors import ArchiveError
from evo.text import clean_text
from evo.tui.grid import Grid
from evo.tui.panes.pane import Pane
from evo.tui.views.plotting import Piece
from evo.tui.views.program import standing
from evo.tui.views.sheet import Sheet
from evo.tui.views.snapshot import Snapshot

VERSIONS = """
SELECT left(p.program_sha, 8) AS version, min(g.first_seen) AS first_seen,
       count(DISTINCT p.id) AS proposals,
       count(DISTINCT p.id) FILTER (p.outcome = 'accepted') AS accepted,
       count(DISTINCT t.variant) FILTER (t.standing IN ('joined', 'champion')) AS kept,
       count(DISTINCT c.variant) AS champions
FROM proposals p JOIN programs g ON g.sha = p.program_sha
LEFT JOIN variants v ON v.proposal = p.id
LEFT JOIN trials t ON t.variant = v.id
LEFT JOIN champions c ON c.variant = v.id
GROUP BY p.program_sha ORDER BY 2 DESC
"""


class ProgramPane(Pane):
    """program.md as it is now, above its versions."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    #program-text { height: 1fr; padding: 0 1; background: $background; }
    #program-text Markdown { background: $background; padding: 0; margin: 0; }
    #program-note { height: 1; padding: 0 1; color: $text-muted; }
    #versions { height: 6; padding: 0 1; }
    .-short #versions { height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]

    class Read(Message):
        """Text and versions were read."""

        def __init__(self, text: str, versions: Sheet | None, standing: list[Piece]) -> None:
            super().__init__()
            self.text, self.versions, self.standing = text, versions, standing

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="program-text"):
            yield Markdown()
        yield Static(id="program-note")
        yield Grid(id="versions")

    def show(self, snapshot: Snapshot) -> None:
        self._fetch()

    def settle(self) -> None:
        self.query_one("#program-text").focus()

    def action_scroll(self, by: int) -> None:
        self.query_one("#program-text").scroll_relative(y=by, animate=False)

    @work(thread=True, exclusive=True, group="program")
    def _fetch(self) -> None:
        text, versions, used = "", None, set[str]()
        if self.place.program is not None:
            try:
                text = self.place.program.read_text("utf-8", "replace")
            except OSError as error:
                text = f"{self.place.program.name} can't be read: {error.strerror}"
        try:
            with Reader.open(self.place.archive) as reader:
                versions = Sheet.of(reader.query(VERSIONS))
                used = {row[0] for row in reader.query("SELECT sha FROM programs").rows}
                latest = "SELECT text FROM programs ORDER BY first_seen DESC LIMIT 1"
                if not text and (found := reader.query(latest).rows):
                    text = str(found[0][0])
        except ArchiveError:
            pass  # the banner says so
        said = standing(self.place.program, used) if self.place.program else []
        self.post_message(self.Read(clean_text(text), versions, said))

    async def on_program_pane_read(self, message: Read) -> None:
        await self.query_one(Markdown).update(without_front_matter(message.text))
        note = message.standing
        if message.versions is not None:
            self.query_one("#versions", Grid).show(message.versions)
            count = len(message.versions.rows)
            versions = f"{count} version{'s' if count != 1 else ''} so far, and what each brought"
            note = [*note, (versions, "dim")]
        self.query_one("#program-note", Static).update(self.palette.text(note))

    def action_edit(self) -> None:
        """Opens it in the person's editor; the running screen waits."""
        if self.place.program is None:
            self.app.notify("an archive's program can't be edited", severity="warning")
            return
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            with self.app.suspend():
                subprocess.run([*shlex.split(editor), str(self.place.program)], check=False)
        except (OSError, ValueError, SuspendNotSupported) as error:
            self.app.notify(f"{editor} can't be started: {error}", severity="error")
        self.app.refresh()
        self._fetch()


def without_front_matter(text: str) -> str:
    """A Markdown text without the YAML that it may begin with."""
    if not text.startswith("---\n"):
        return text
    _, _, rest = text[4:].partition("\n---\n")
    return rest or text
