"""`evo tui`, which shows a run in the terminal, and `evo serve`, which shows it in a browser."""

from __future__ import annotations

import gc
import os
import secrets
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
DRIVER = "TEXTUAL_DRIVER"
"""Set by `evo serve`, whose terminal is in a browser."""


run_option = click.option("--run", "run_name", metavar="NAME", help="The same as RUN.")


@click.command("tui")
@click.argument("run", required=False)
@run_option
def tui_command(run: str | None, run_name: str | None) -> None:
    """Watch, ask and steer RUN (its name, or a folder with an archive.duckdb) in the terminal.

    Without RUN: the only run of this project, or a list of all to choose from. Leaving never stops
    the engine without asking. A command in EVO_NOTIFY is called with every notice: a new champion,
    a stuck search, an engine that ended.
    """
    run = _one_of(run, run_name)
    in_browser = DRIVER in os.environ
    if not in_browser and not (sys.stdin.isatty() and sys.stdout.isatty()):
        flag = place_of(run).flag if run else ""
        raise EvoError(
            f"evo tui needs a terminal; `evo status{flag}` prints one screen of plain text"
        )
    chosen = choose() if run is None else place_of(run)
    if chosen is not None:
        attach(chosen)


def _one_of(run: str | None, run_name: str | None) -> str | None:
    """The run that is named, by argument or by option.

    Raises:
        EvoError: They name two.
    """
    if run is not None and run_name is not None and run != run_name:
        raise EvoError(f"RUN is {run} and --run is {run_name}; name one")
    return run if run is not None else run_name


def attach(where: Place) -> LeaveHow | None:
    """Shows a run until somebody leaves; how."""
    from evo.tui.views.early import EarlyLook

    gc.disable()  # until the first picture: nothing that is made by then is rubbish
    early = EarlyLook(where)  # before the imports below, which take as long
    from evo.tui.app import RunApp
    from evo.tui.notices import Notifier
    from evo.tui.views.state import FILE, State

    folder = platformdirs.user_state_path("evo")
    app = RunApp(where, State.load(folder / FILE), notifier=Notifier(_outside()), early=early)
    how = app.run()
    gc.unfreeze()  # what the app froze: DuckDB counts at the end what nobody gave back, and says so
    if app.return_code:
        raise EvoError(
            f"the screen broke; the engine isn't touched by that: `evo status{where.flag}`"
        )
    return how


def choose() -> Place | None:
    """The run that is meant: the one there is, or the one that somebody chooses."""
    from evo.tui.start import StartApp
    from evo.tui.views.state import FILE, State

    places = _places()
    if not places:
        return place_of(None)
    if len(places) == 1:
        return places[0]
    state = State.load(platformdirs.user_state_path("evo") / FILE)
    return StartApp(places, state.theme).run()


def _places() -> list[Place]:
    """The runs of this project."""
    from evo.tui.views.runs import find

    settings, here = place.settings_for(), place.project()
    return find(
        here / settings.population_folder,
        here / settings.archive_folder,
        here / settings.program,
        settings.run,
    )


def place_of(run: str | None) -> Place:
    """Where a run is: one of this project by its name, or an archive's folder from anywhere.

    Raises:
        ArchiveError: There is neither.
    """
    from evo.tui.views.place import Place

    if run is not None and ("/" in run or (Path(run) / PUBLISHED).exists()):
        folder = Path(run).resolve()
        if folder.name == PUBLISHED:
            folder = folder.parent
        if not (folder / PUBLISHED).exists():
            raise ArchiveError(f"there is no {PUBLISHED} in {folder}; name an archive's folder")
        return Place(folder.name, folder)
    settings = place.settings_for(run)
    found = place_in_project(settings)
    if found.folder is None and not found.archive.exists():
        names = ", ".join(one.name for one in _places())
        start = f"`evo run{place.run_flag(settings)}` starts one"
        there = f"there is {names}: name one" if names else start
        raise ArchiveError(f"there is no run {settings.run} here; {there}")
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
        flag=place.run_flag(settings),
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


@click.command("serve")
@click.argument("run", required=False)
@run_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8722, show_default=True)
@click.option("--no-token", is_flag=True, help="Let in whoever knows the address.")
def serve_command(
    run: str | None, run_name: str | None, host: str, port: int, no_token: bool
) -> None:
    """Show RUN in a browser, just as `evo tui` does in the terminal.

    It listens on this machine alone, and only who has the token that is printed gets in: from
    elsewhere, forward the port with ssh.
    """
    from evo.tui.serving import TokenServer

    run = _one_of(run, run_name)
    places = _places() if run is None else []
    where = places[0] if len(places) == 1 else place_of(run)
    arguments = [sys.executable, "-m", "evo", "tui", where.name if run is None else run]
    token = "" if no_token else secrets.token_urlsafe(24)
    server = TokenServer(shlex.join(arguments), host, port, token)
    click.echo(f"evo {where.name} is at {server.address}  (Ctrl-C ends it; the engine works on)")
    server.serve()
