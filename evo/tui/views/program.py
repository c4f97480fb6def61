"""program.md as it is now: whether it can be read and is in force, and which roles it has."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from evo.errors import SettingsError
from evo.program import read_program
from evo.text import clean_text
from evo.tui.views.plotting import Piece


def standing(path: Path, used: Collection[str]) -> list[Piece]:
    """What is to be said of the file.

    Args:
        path: Of program.md.
        used: SHA-256 of the versions that have asked for proposals.
    """
    try:
        skill = read_program(path)
    except SettingsError as error:
        return [(f"{clean_text(str(error))}: the version before stays in force", "bad")]
    pieces: list[Piece] = []
    if skill.program.sha not in used:
        pieces.append(("edited: it takes effect at the next proposal   ", "warn"))
    if skill.roles:
        pieces.append((f"roles: {', '.join(skill.roles)}   ", "dim"))
    return pieces
