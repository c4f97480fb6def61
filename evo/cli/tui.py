"""`evo tui`, which shows a run in the terminal, and `evo serve`, which shows it in a browser."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import platformdirs

from evo.cli import place
from evo.config import Settings
from evo.engine.layout import PUBLISHED
from evo.errors import ArchiveError, EvoError

if TYPE_CHECKING:
    from evo.tui.dialogs import LeaveHow
    from evo.tui.views.place import Place

NOTIFY = "EVO_NOTIFY"
"""Shell words of a command that is given each notice as its last argument."""


@click.command("tui")
@click.argument("run", required=False)
def tui_command(run: str | None) -> None:
    """Watch, ask and steer RUN (its name, or a folder with an archive.duckdb) in the terminal.

    Without RUN: the run that the settings name. Leaving never stops the engine without asking. A
    command in EVO_NOTIFY is called with every notice: a new champion, a stuck search, an engine
    that ended.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise EvoError("evo tui needs a terminal; `evo status` prints one screen of plain text")
    attach(place_of(run))


def attach(where: Place) -> LeaveHow | None:
    """Shows a run until somebody leaves; how."""
    from evo.tui.app import RunApp
    from evo.tui.notices import Notifier
    from evo.tui.views.state import FILE, State

    folder = platformdirs.user_state_path("evo")
    app = RunApp(where, State.load(folder / FILE), notifier=Notifier(_outside()))
    how = app.run()
    if app.return_code:
        raise EvoError("the screen broke; the engine isn't touched by that: `evo status`")
    return how


def place_of(run: str | None) -> Place:
    """Where a run is: one of this project by its name, or an archive's folder from anywhere.

    Raises:
        ArchiveError: There is neither.
    """
    from evo.tui.views.place import Place

    if run is not None and (Path(run) / PUBLISHED).exists():
        folder = Path(run).resolve()
        return Place(folder.name, folder)
    settings = place.settings_for(run)
    found = place_in_project(settings)
    if found.folder is None and not found.archive.exists():
        place.published_archive(run)  # says what there is instead
        raise ArchiveError(f"there is no run {settings.run}")
    return found


def place_in_project(settings: Settings) -> Place:
    """The files of a run of this project."""
    from evo.tui.views.place import Place

    folder = place.run_folder(settings)
    return Place(
        name=settings.run,
        archive_folder=place.archive_folder(settings),
        folder=folder if folder.exists() else None,
        program=place.project() / settings.program,
    )


def _outside() -> Callable[[str], None] | None:
    words = shlex.split(os.environ.get(NOTIFY, ""))
    if not words:
        return None

    def call(text: str) -> None:
        subprocess.Popen(
            [*words, text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    return call
