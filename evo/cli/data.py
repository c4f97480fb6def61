"""`evo data`: prepare the text that searches train and validate on, and look at it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from evo.cli import place
from evo.corpus.corpus import KNOWN_SOURCES, NAME, Corpus, Split, data_folder, locate, prepared
from evo.corpus.sources import HeldOut, Listener, Progress, Source
from evo.errors import CorpusError
from evo.text import clean_text

SAMPLE_CHARACTERS = 400
LARGE_BYTES = 50_000_000
"""Where nobody watches a bar, stages of more bytes than these say every tenth that is done."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("data")
def data() -> None:
    """Prepare and look at training data."""


@data.command("prepare")
@click.option(
    "--source",
    default="embedded",
    show_default=True,
    metavar="SOURCE",
    help="`embedded` (six novels, offline, seconds), `climbmix` (web text, for a GPU), or the PATH "
    "of a file or folder: .txt, .md, .text, .jsonl (also .gz, .xz) and .parquet.",
)
@click.option(
    "--validation",
    metavar="PATH",
    help="A file or folder that validates and never trains [1 % of the source, three times].",
)
@click.option("--name", metavar="NAME", help="What to call it [the source's name].")
@click.option(
    "--vocab-size",
    type=int,
    metavar="N",
    help="Token ids of the tokenizer that is learnt [2048 for embedded, 8192 for others].",
)
@click.option("--shards", type=int, metavar="N", help="climbmix: files of about 90 MB [8].")
@click.option("--base-url", metavar="URL", help="climbmix: a mirror to download from.")
@click.option("--force", is_flag=True, help="Replace what has this name.")
def prepare_command(
    source: str,
    validation: str | None,
    name: str | None,
    vocab_size: int | None,
    shards: int | None,
    base_url: str | None,
    force: bool,
) -> None:
    """Turn text into tokens and splits, ready for a search.

    Validation documents are chosen by the hash of their text; the tokenizer is learnt from the
    train split alone. The same source with the same vocabulary gives the same data anywhere, and a
    second call returns at once.
    """
    from evo.corpus import preparation

    if source != "climbmix" and (shards is not None or base_url is not None):
        raise click.UsageError("--shards and --base-url go with --source climbmix")
    destination = data_folder() / _checked_name(name or _name_of(source))
    origin: Source = preparation.source_of(
        source, shards=preparation.SHARDS if shards is None else shards, base_url=base_url
    )
    if validation is not None:
        origin = HeldOut(origin, preparation.source_of(validation))
    with _progress() as listener:
        corpus = preparation.prepare(
            origin, destination, vocab_size=vocab_size, force=force, on_progress=listener
        )
    click.echo(_described(corpus))
    if destination.name != "embedded":
        click.echo(
            f'\nuse it with `data = "{destination.name}"` under [tool.evo.arena] in pyproject.toml'
        )


@data.command("list")
@as_json
def list_command(as_json: bool) -> None:
    """Name all prepared data."""
    rows = [_row(folder) for folder in prepared()]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("nothing is prepared yet; start with `evo data prepare`")
    for row in rows:
        if "cause" in row:
            click.echo(f"{row['name']:<16} {row['cause']}")
            continue
        click.echo(
            f"{row['name']:<16} {row['tokens'][Split.TRAIN]:>15,} tokens to train on"
            f"  vocabulary {row['vocab_size']:>6,}  {row['bytes_on_disk'] / 1e6:>9,.1f} MB"
            f"  {row['sha'][:12]}"
        )


@data.command("show")
@click.argument("name", required=False)
@as_json
@click.option("--verify", is_flag=True, help="Read every byte and compare checksums first.")
def show_command(name: str | None, as_json: bool, verify: bool) -> None:
    """Show prepared data: sizes, splits, and the beginning of a training document.

    NAME is a name or a folder; without one it is what the settings here name. Validation text is
    never shown.
    """
    from evo.corpus.tokenizer import excerpt

    corpus = Corpus.open(locate(name or place.settings_for().arena.data))
    if verify:
        corpus.verify()
    if as_json:
        click.echo(json.dumps(_row(corpus.folder)))
        return
    click.echo(_described(corpus))
    sample = clean_text(excerpt(corpus, 0, SAMPLE_CHARACTERS))
    lines = "\n".join(f"  | {line}" for line in sample.splitlines())
    click.echo(f"\nthe first document of the train split begins:\n{lines}")


def _name_of(source: str) -> str:
    """A name for a source: its own, or one made of its path."""
    if source in KNOWN_SOURCES:
        return source
    stem = Path(source).expanduser().absolute().name.partition(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:64] or "data"


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise CorpusError(
            f"{name!r} can't be a name: up to 64 letters, digits, dots, dashes and underscores "
            "were expected, a letter or digit first; give another --name"
        )
    return name


def _row(folder: Path) -> dict[str, Any]:
    """Prepared data as JSON; what is damaged says why."""
    try:
        corpus = Corpus.open(folder)
    except CorpusError as error:
        return {"name": folder.name, "folder": str(folder), "cause": str(error)}
    manifest = corpus.manifest
    splits = {split: manifest.splits[split] for split in Split}
    return {
        "name": folder.name,
        "folder": str(folder),
        "sha": corpus.sha,
        "source": manifest.source.description,
        "licence": manifest.source.licence,
        "vocab_size": corpus.vocab_size,
        "documents": {split: record.documents for split, record in splits.items()},
        "tokens": {split: record.tokens for split, record in splits.items()},
        "bytes": {split: record.bytes for split, record in splits.items()},
        "bytes_on_disk": sum(file.bytes for file in manifest.files),
        "created_by": manifest.created_by,
    }


def _described(corpus: Corpus) -> str:
    manifest = corpus.manifest
    lines = [
        f"{corpus.folder.name}: {manifest.source.description}",
        f"  folder      {corpus.folder}",
        f"  licence     {manifest.source.licence}",
        f"  vocabulary  {corpus.vocab_size:,} token ids",
        f"  sha         {corpus.sha}",
    ]
    if manifest.parts or manifest.duplicates:
        lines.append(
            f"  documents   {manifest.parts:,} are parts of longer ones, "
            f"{manifest.duplicates:,} copies were dropped"
        )
    lines.append(f"  {'split':<10}{'documents':>12}{'tokens':>16}{'bytes':>18}")
    for split in Split:
        record = manifest.splits[split]
        lines.append(f"  {split:<10}{record.documents:>12,}{record.tokens:>16,}{record.bytes:>18,}")
    return "\n".join(lines)


@contextmanager
def _progress() -> Iterator[Listener]:
    """Who shows progress on stderr: a bar on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=None)
            bars.update(
                tasks[progress.stage], completed=progress.done_bytes, total=progress.total_bytes
            )

        yield show


class _Lines:
    """A line for each stage, and for each tenth of a long one."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def show(self, progress: Progress) -> None:
        line = str(progress.stage)
        if progress.total_bytes and progress.total_bytes > LARGE_BYTES:
            tenth = min(10 * progress.done_bytes // progress.total_bytes, 10)
            line += f": {tenth * 10} % of {progress.total_bytes / 1e6:,.0f} MB" if tenth else ""
        if line not in self._said:
            self._said.add(line)
            click.echo(line, err=True)
