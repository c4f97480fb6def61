"""Preparation: a source becomes documents, splits, a tokenizer and files of tokens.

Everything is written beside its destination and renamed into place when it is whole, under a lock,
so that a kill at any moment leaves either no corpus or a sound one.
"""

from __future__ import annotations

import errno
import os
import shutil
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evo import __version__
from evo.corpus import tokenizer as bpe
from evo.corpus.corpus import (
    MANIFEST,
    SCHEMA,
    Corpus,
    Manifest,
    SourceRecord,
    data_folder,
)
from evo.corpus.documents import CUTTING_RULE
from evo.corpus.encoding import encode_splits, token_dtype, write_file
from evo.corpus.sources import (
    EmbeddedSource,
    FilesSource,
    Listener,
    Progress,
    Source,
    Stage,
    Text,
    nobody,
)
from evo.corpus.splitting import DROPPED, Partition, digest_of, partition
from evo.errors import CorpusError

EMBEDDED = "embedded"
CLIMBMIX = "climbmix"
SHARDS = 8
VOCAB_SIZE = 8_192
EMBEDDED_VOCAB_SIZE = 2_048
MOST_SAMPLE_BYTES = 100_000_000
"""Of text that the tokenizer learns from."""
STEP_BYTES = 1_000_000
"""Of text from one word about progress to the next."""


def source_of(text: str, *, shards: int = SHARDS, base_url: str | None = None) -> Source:
    """The source that a person names.

    Args:
        text: `embedded`, `climbmix`, or the path of a file or folder.
        shards: For climbmix, how many files.
        base_url: For climbmix, where from; None is its home.

    Raises:
        CorpusError: It is none of these.
    """
    if text == EMBEDDED:
        return EmbeddedSource()
    if text == CLIMBMIX:
        from evo.corpus.climbmix import BASE_URL, ClimbmixSource

        folder = data_folder() / ".downloads" / CLIMBMIX
        return ClimbmixSource(folder, shards, base_url or BASE_URL)
    path = Path(text).expanduser()
    if not text or not (path.exists() or path.is_symlink()):
        raise CorpusError(
            f"there is no source {text!r}: it is neither {EMBEDDED} nor {CLIMBMIX}, nor a file or "
            "folder that exists; name one of these"
        )
    return FilesSource(path)


def prepare_if_missing(data: str, on_progress: Listener = nobody) -> None:
    """Prepares the embedded text if that is what is asked for and it isn't there yet.

    Other data has to be prepared by a person, who knows where it is and what it costs to fetch.

    Raises:
        CorpusError: It can't be written.
    """
    destination = data_folder() / EMBEDDED
    if data == EMBEDDED and not (destination / MANIFEST).exists():
        prepare(EmbeddedSource(), destination, on_progress=on_progress)


def prepare(
    source: Source,
    destination: Path,
    *,
    vocab_size: int | None = None,
    force: bool = False,
    on_progress: Listener = nobody,
) -> Corpus:
    """Prepares a source, or returns at once if that was done already.

    Args:
        source: Where the text comes from.
        destination: The folder that becomes the corpus; its name becomes the corpus's name.
        vocab_size: Token ids, with BOS; None is 2,048 for the embedded text, 8,192 for any other.
        force: Whether to replace what is there.
        on_progress: Told of every stage.

    Raises:
        CorpusError: The text can't be had, read, split or written; or the destination holds
            something else.
    """
    record = source.record()
    if vocab_size is None:
        vocab_size = EMBEDDED_VOCAB_SIZE if record.kind == EMBEDDED else VOCAB_SIZE
    bpe.check_vocab_size(vocab_size)
    _refuse_stranger(destination)
    if not force and (there := _already(destination, record, vocab_size)):
        return there
    with _writing(destination), _locked(destination, on_progress):
        _tidy(destination)
        # Another process may have prepared it while this one waited.
        if not force and (there := _already(destination, record, vocab_size)):
            return there
        partial = _beside(destination, "partial")
        try:
            text = source.fetch(on_progress)
            partial.mkdir()
            _build(text, partial, destination.name, vocab_size, on_progress)
            _install(partial, destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Corpus.open(destination)


def _refuse_stranger(destination: Path) -> None:
    if destination.exists() and not (destination / MANIFEST).exists():
        raise CorpusError(
            f"{destination} is there and isn't prepared data, and evo overwrites nothing that it "
            "didn't write; name another with --name"
        )


def _already(destination: Path, record: SourceRecord, vocab_size: int) -> Corpus | None:
    """What is there, if it is what is asked for; None if nothing is."""
    if not destination.exists():
        return None
    there = Corpus.open(destination)
    known = there.manifest
    if (known.source.kind, known.source.request) != (record.kind, record.request):
        raise CorpusError(
            f"{destination.name} is prepared already, from another source or other text "
            f"({known.source.description}); replace it with --force, or add --name NAME"
        )
    if known.requested_vocab_size != vocab_size:
        raise CorpusError(
            f"{destination.name} is prepared already, with a vocabulary of "
            f"{known.requested_vocab_size:,}, not {vocab_size:,}; replace it with --force, or add "
            "--name NAME"
        )
    return there


class _Survey(NamedTuple):
    """The first reading of all documents."""

    digests: bytes
    sizes: NDArray[np.int64]
    parts: NDArray[np.bool_]
    held_out: NDArray[np.bool_]


def _build(text: Text, folder: Path, name: str, vocab_size: int, on_progress: Listener) -> None:
    """Writes a whole corpus into an empty folder; the manifest comes last."""
    survey = _survey(text, on_progress)
    plan = partition(survey.digests, survey.sizes, vocab_size, MOST_SAMPLE_BYTES, survey.held_out)
    learnt = bpe.learn(_sample(text, survey, plan, on_progress), vocab_size)
    splits = encode_splits(_again(text, survey), plan, survey.sizes, learnt, folder, on_progress)
    sizes = bpe.token_bytes_of(learnt)
    manifest = Manifest(
        schema=SCHEMA,
        name=name,
        created_by=f"evo {__version__}",
        source=text.record(),
        requested_vocab_size=vocab_size,
        vocab_size=len(sizes),
        bos=len(sizes) - 1,
        token_dtype=token_dtype(len(sizes)).name,
        documents_cut=CUTTING_RULE,
        parts=int(np.count_nonzero(survey.parts & (plan.codes != DROPPED))),
        duplicates=plan.duplicates,
        tokenizer=write_file(folder / "tokenizer.json", bpe.save(learnt)),
        token_bytes=write_file(folder / "token_bytes.bin", sizes.astype("<i8").tobytes()),
        splits=splits,
    )
    encoded = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2)
    write_file(folder / MANIFEST, encoded + b"\n")


def _survey(text: Text, on_progress: Listener) -> _Survey:
    digests, sizes, parts, held_out = bytearray(), array("q"), bytearray(), bytearray()
    done = 0
    on_progress(Progress(Stage.READ))
    for document in text.documents():
        encoded = document.text.encode("utf-8")
        digests += digest_of(encoded)
        sizes.append(len(encoded))
        parts.append(document.is_part)
        held_out.append(document.held_out)
        done += len(encoded)
        if _is_worth_saying(done, len(encoded)):
            on_progress(Progress(Stage.READ, done))
    if not sizes:
        raise CorpusError("the source holds no text, only empty files or blank lines; add text")
    return _Survey(
        bytes(digests),
        np.array(sizes, dtype=np.int64),
        np.frombuffer(parts, dtype=np.bool_),
        np.frombuffer(held_out, dtype=np.bool_),
    )


def _again(text: Text, survey: _Survey) -> Iterator[tuple[int, str]]:
    """The documents once more, numbered.

    Raises:
        CorpusError: They aren't what they were: somebody writes to the source.
    """
    number = -1
    for number, document in enumerate(text.documents()):
        start = number * len(survey.digests) // len(survey.sizes)
        digest = digest_of(document.text.encode("utf-8"))
        if survey.digests[start : start + len(digest)] != digest:
            break
        yield number, document.text
    else:
        if number + 1 == len(survey.sizes):
            return
    raise CorpusError("the source changed while it was read; prepare it when nobody writes to it")


def _sample(text: Text, survey: _Survey, plan: Partition, on_progress: Listener) -> Iterator[str]:
    done = 0
    on_progress(Progress(Stage.LEARN, done, plan.sample_bytes))
    for number, document in _again(text, survey):
        if plan.sampled[number]:
            size = int(survey.sizes[number])
            done += size
            if _is_worth_saying(done, size):
                on_progress(Progress(Stage.LEARN, done, plan.sample_bytes))
            yield document


def _is_worth_saying(done: int, size: int) -> bool:
    """Whether the last bytes completed a step; a listener may draw, and documents are many."""
    return done // STEP_BYTES != (done - size) // STEP_BYTES


def _beside(destination: Path, what: str) -> Path:
    """A hidden neighbour of the destination: on the same disk, so that renaming is atomic."""
    return destination.parent / f".{destination.name}.{what}"


@contextmanager
def _locked(destination: Path, on_progress: Listener) -> Iterator[None]:
    """One preparation of a destination at a time; the system frees the lock of a dead process."""
    from filelock import FileLock, Timeout

    destination.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_beside(destination, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_progress(Progress(Stage.WAIT))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _tidy(destination: Path) -> None:
    """Clears up after a preparation that was killed."""
    old = _beside(destination, "old")
    if old.exists() and not destination.exists():
        old.rename(destination)
    for leftover in (old, _beside(destination, "partial")):
        if leftover.exists():
            shutil.rmtree(leftover)


def _install(partial: Path, destination: Path) -> None:
    old = _beside(destination, "old")
    if destination.exists():
        destination.rename(old)
    partial.rename(destination)
    shutil.rmtree(old, ignore_errors=True)
    parent = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


@contextmanager
def _writing(destination: Path) -> Iterator[None]:
    """Explains what keeps the destination from being written; sources explain themselves."""
    try:
        yield
    except OSError as error:
        advice = (
            "free some room there"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "check the folder and its permissions"
        )
        raise CorpusError(
            f"{destination} can't be written: {error.strerror or error}; {advice}, or name another "
            "folder in EVO_DATA_DIR"
        ) from error
