"""`evo init`, which makes a project folder, and `evo founders`, which looks after its gene pool."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from evo.cli import place
from evo.engine.layout import FOUNDERS
from evo.errors import EvoError, PatchError, SettingsError
from evo.nouns import Recipe
from evo.operators.screening import screen
from evo.patch import apply, read_founder

TEMPLATE = Path(__file__).parents[1] / "template"
FILES = ("train.py", "program.md", "pyproject.toml")


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init_command(folder: Path) -> None:
    """Make FOLDER a project: train.py, program.md, settings and a gene pool to start from."""
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise SettingsError(
            f"{folder} has {', '.join(there)} already, and evo overwrites nothing; "
            "name a new folder"
        )
    pool = folder / "population" / FOUNDERS
    pool.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(TEMPLATE / name, folder / name)
    for patch in sorted((TEMPLATE / "founders").glob("*.patch")):
        shutil.copyfile(patch, pool / patch.name)
    click.echo(f"{folder} is ready; next:")
    click.echo(f"  cd {folder}")
    click.echo("  evo run --trials 24    a first search: a few minutes, no key, no GPU")
    click.echo("  $EDITOR program.md     what you want of it")


@click.group("founders")
def founders() -> None:
    """Look at the gene pool: the small patches that a search begins with."""


@founders.command("list")
def list_command() -> None:
    """Name every founder, with its title, and those that can't be read."""
    from evo.engine.assembly import read_founders

    founders, warnings = read_founders(_pool())
    for name, founder in founders.items():
        click.echo(f"{name:<24} {founder.title}")
    for warning in warnings:
        click.echo(warning, err=True)


@founders.command("check")
def check_command() -> None:
    """Say which founders no longer apply to the editable file."""
    settings = place.settings_for()
    baseline, broken = place.editable_text(settings), 0
    for path in _paths():
        cause = _check(path, baseline, settings.task.recipe)
        broken += bool(cause)
        click.echo(f"{'no ' if cause else 'ok '} {path.stem:<24} {cause}".rstrip())
    if broken:
        click.echo(f"{broken} don't apply to {settings.task.editable}: mend or remove them")
        sys.exit(1)


def _check(path: Path, baseline: str, recipe: Recipe) -> str:
    try:
        patch = read_founder(path.stem, path.read_text("utf-8"))
        return screen(apply(baseline, patch.diff), recipe) or ""
    except (PatchError, UnicodeDecodeError) as error:
        return str(error)


def _paths() -> list[Path]:
    return sorted(_pool().glob("*.patch"))


def _pool() -> Path:
    """The gene pool's folder.

    Raises:
        EvoError: There is no patch in it.
    """
    folder = place.project() / place.settings_for().population_folder / FOUNDERS
    if not any(folder.glob("*.patch")):
        raise EvoError(
            f"there are no patches in {folder}; `evo init DIR` copies some to start from"
        )
    return folder
