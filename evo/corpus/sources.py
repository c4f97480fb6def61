"""Sources: where text comes from.

A source says what it is and brings its text here; the text yields its documents as often as it is
asked, always in the same order.
"""

from __future__ import annotations

import hashlib
import lzma
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Protocol

import msgspec

from evo.corpus.corpus import SourceRecord, sha256_of
from evo.corpus.documents import SEPARATOR, SUPPORTED, Document, cut, documents_of, kind_of
from evo.errors import CorpusError


class Stage(StrEnum):
    """What a preparation is doing."""

    DOWNLOAD = "downloading"
    WAIT = "waiting for another process that prepares the same"
    READ = "reading"
    LEARN = "learning the tokenizer"
    ENCODE = "encoding"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is."""

    stage: Stage
    done_bytes: int = 0
    total_bytes: int | None = None
    """None while it isn't known."""


Listener = Callable[[Progress], None]
"""Who is told of progress; a download calls it from several threads, one at a time."""


def nobody(progress: Progress) -> None:
    """Listens to nothing."""


class Source(Protocol):
    """Where text comes from."""

    def record(self) -> SourceRecord:
        """What the source is; quick enough to ask before every preparation.

        Raises:
            CorpusError: It can't be read.
        """

    def fetch(self, listener: Listener) -> Text:
        """Brings the text to this machine, if it isn't there.

        Raises:
            CorpusError: It can't be had.
        """


class Text(Protocol):
    """Text that is on this machine."""

    def record(self) -> SourceRecord:
        """What it is, with the checksums of all that was downloaded."""

    def documents(self) -> Iterator[Document]:
        """Every document, in an order that is always the same.

        Raises:
            CorpusError: Something in it can't be read as text.
        """


class EmbeddedSource:
    """The six novels that come with evo."""

    def record(self) -> SourceRecord:
        return SourceRecord(
            kind="embedded",
            description="six novels by Jane Austen, a document for each chapter",
            licence="public domain",
            request=f"embedded sha256:{hashlib.sha256(self._compressed()).hexdigest()}",
        )

    def fetch(self, listener: Listener) -> Text:
        return self

    def documents(self) -> Iterator[Document]:
        text = lzma.decompress(self._compressed()).decode("utf-8")
        for chapter in SEPARATOR.split(text):
            yield from cut(chapter)

    def _compressed(self) -> bytes:
        return (resources.files("evo.corpus") / "embedded" / "austen.txt.xz").read_bytes()


class FilesSource:
    """A file of the user's, or all files of a supported kind in a folder and below.

    Args:
        path: The file or folder. Hidden files and folders are passed over.

    Raises:
        CorpusError: There is nothing, or nothing that is supported.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = _supported_files(path)

    def record(self) -> SourceRecord:
        """Reads all files once, for a checksum: dates of files are no evidence of their content."""
        folder = self._path if self._path.is_dir() else self._path.parent
        digest = hashlib.sha256()
        for path in self._files:
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{sha256_of(path)}\0".encode("utf-8", "surrogateescape"))
        kinds = Counter("".join(kind_of(path)) for path in self._files)
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        return SourceRecord(
            kind="files",
            description=f"files: {named}",
            licence="not known to evo",
            request=f"files sha256:{digest.hexdigest()}",
        )

    def fetch(self, listener: Listener) -> Text:
        return self

    def documents(self) -> Iterator[Document]:
        for path in self._files:
            yield from documents_of(path)


class HeldOut:
    """Two sources: what trains, and what validates and never trains.

    Args:
        train: All of its documents train.
        validation: All of its documents are shared out among the validation splits.
    """

    def __init__(self, train: Source, validation: Source) -> None:
        self._train, self._validation = train, validation

    def record(self) -> SourceRecord:
        return _joined(self._train.record(), self._validation.record())

    def fetch(self, listener: Listener) -> Text:
        return _HeldOutText(self._train.fetch(listener), self._validation.fetch(listener))


def _joined(train: SourceRecord, validation: SourceRecord) -> SourceRecord:
    return msgspec.structs.replace(
        train,
        description=f"{train.description}; validation: {validation.description}",
        request=f"{train.request} validation {validation.request}",
    )


@dataclass(frozen=True, slots=True)
class _HeldOutText:
    train: Text
    validation: Text

    def record(self) -> SourceRecord:
        return _joined(self.train.record(), self.validation.record())

    def documents(self) -> Iterator[Document]:
        yield from self.train.documents()
        for document in self.validation.documents():
            yield document._replace(held_out=True)


def _supported_files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        if not kind_of(path)[0]:
            raise CorpusError(f"{path} is of no kind that can be read; {SUPPORTED}")
        return (path,)
    if not path.is_dir():
        raise CorpusError(f"there is no file or folder {path} to read text from")
    found = [
        each
        for each in path.rglob("*")
        if kind_of(each)[0]
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
        and each.is_file()
    ]
    if not found:
        raise CorpusError(f"the folder {path} holds no text; {SUPPORTED}")
    return tuple(sorted(found, key=lambda each: each.relative_to(path).as_posix()))
