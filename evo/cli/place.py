"""Where things are: the project folder, a run's folder, and its published archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evo import config
from evo.config import Settings, load
from evo.engine.layout import PUBLISHED
from evo.errors import ArchiveError, SettingsError


def project() -> Path:
    """The project folder: the one that evo is called in."""
    return Path.cwd()


def settings_for(run: str | None = None, **overrides: Any) -> Settings:
    """The settings of this project, with flags above them.

    Raises:
        SettingsError: A key or a value that can't be; one of a flag is named as such.
    """
    table: Mapping[str, Any] = {"run": run, **overrides}
    try:
        return load(project(), table)
    except SettingsError as error:
        text = str(error)
        for name, option in config.OPTIONS.items():
            if table.get(name) is not None:
                text = text.replace(f"`tool.evo.{name}`", f"`{option}`")
        raise SettingsError(text) from error


def run_folder(settings: Settings) -> Path:
    """population/RUN."""
    return project() / settings.population_folder / settings.run


def archive_folder(settings: Settings) -> Path:
    """archive/RUN."""
    return project() / settings.archive_folder / settings.run


def run_flag(settings: Settings) -> str:
    """What a suggested command needs so as to mean this run; see `config.run_flag`."""
    return config.run_flag(settings.run, settings_for().run)


def published_archive(run: str | None) -> Path:
    """The published archive of a run, which anybody may open at any time.

    Args:
        run: Name of the run; None is the one that the settings name.

    Raises:
        ArchiveError: There is none yet.
    """
    settings = settings_for(run)
    path = archive_folder(settings) / PUBLISHED
    if path.exists():
        return path
    others = sorted(
        found.parent.name for found in (project() / settings.archive_folder).glob(f"*/{PUBLISHED}")
    )
    advice = f"start one with `evo run{run_flag(settings)}`"
    if others:
        advice = f"there is {', '.join(others)} (--run NAME)"
    raise ArchiveError(f"the run {settings.run} has no archive here; {advice}")


def editable_text(settings: Settings) -> str:
    """The baseline's text.

    Raises:
        SettingsError: The file is missing, isn't text, or can't be read.
    """
    path = project() / settings.task.editable
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise SettingsError(
            f"there is no {settings.task.editable} here; `evo init DIR` makes a project, "
            "or call evo in the folder of yours"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{settings.task.editable} can't be read: {error}") from error
