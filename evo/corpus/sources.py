"""Sources: where text comes from, and how files of several kinds become documents.

A source says what it is and brings its text here; the text yields its documents as often as it is
asked, always in the same order. Long documents are cut at blank lines, for validation is split off
by document.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

import msgspec

from evo.corpus.corpus import SourceRecord, sha256_of
from evo.errors import CorpusError

LONGEST_CHARACTERS = 65_536
"""Documents with more are cut."""
PART_CHARACTERS = 16_384
"""About as long as the parts become."""
CUTTING_RULE = (
    f"documents of more than {LONGEST_CHARACTERS} characters are cut into parts of about "
    f"{PART_CHARACTERS}, at blank lines where there are any"
)
BLOCK_BYTES = 1 << 20
SEPARATOR = re.compile(r"^<\|endoftext\|>[ \t]*\r?\n", re.MULTILINE)
SEAMS = (re.compile(r"\n[ \t]*\r?\n"), re.compile(r"\n"), re.compile(r"\s"))
"""Where a long document may be cut, the best first."""
TEXT_SUFFIXES = (".txt", ".md", ".text")
SUPPORTED = "supported are .txt, .md, .text and .jsonl (also as .gz or .xz) and .parquet"
UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
ROWS_AT_A_TIME = 1_024
MOST_LINE_BYTES = 64 << 20
"""A small compressed file may hold a line that fills the memory."""


class Document(NamedTuple):
    """One document, never blank."""

    text: str
    is_part: bool
    """Whether it was cut from a longer one."""
    held_out: bool = False
    """Whether its source is for validation alone."""


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
        kinds = Counter("".join(_kind(path)) for path in self._files)
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


def documents_of(path: Path) -> Iterator[Document]:
    """The documents of one file, read by its suffix.

    Raises:
        CorpusError: It can't be read, or isn't what its suffix says.
    """
    kind, compression = _kind(path)
    if kind == ".parquet":
        yield from parquet_documents(path)
        return
    read = json_documents if kind == ".jsonl" else text_documents
    try:
        with _opened(path, compression) as stream:
            yield from read(stream, path)
    except UNREADABLE as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CorpusError(
            f"{path} can't be read: {cause}; mend it or leave it out, then prepare again"
        ) from error


def text_documents(stream: IO[bytes], path: Path) -> Iterator[Document]:
    """The documents of UTF-8 text, between lines `<|endoftext|>`.

    Raises:
        CorpusError: There is a byte that UTF-8 hasn't, or a zero byte.
    """
    rest, inside_long = "", False
    for block in _decoded_blocks(stream, path):
        *whole, rest = SEPARATOR.split(rest + block)
        for text in whole:
            yield from cut(text, inside_long)
            inside_long = False
        if len(rest) > 8 * LONGEST_CHARACTERS:
            # Not to hold a file without separators in memory.
            *parts, rest = _slices(rest)
            for text in parts:
                yield from cut(text, is_part=True)
            inside_long = True
    # The last line may be a separator without an end of line.
    for text in SEPARATOR.split(rest + "\n"):
        yield from cut(text, inside_long)
        inside_long = False


def json_documents(stream: IO[bytes], path: Path) -> Iterator[Document]:
    """The `text` of every line of JSON.

    Raises:
        CorpusError: A line isn't an object with a `text` that is a string, or is far too long.
    """
    lines = iter(lambda: stream.readline(MOST_LINE_BYTES + 1), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) > MOST_LINE_BYTES:
            raise CorpusError(
                f"{path}:{number} is longer than {MOST_LINE_BYTES >> 20} MB; split its document "
                "into several or take it out"
            )
        if not line.strip():
            continue
        try:
            # msgspec takes any bytes in strings that it skips, and we any that it takes.
            text = msgspec.json.decode(line, type=_Line).text
            text.encode("utf-8")
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise CorpusError(
                f"{path}:{number} isn't a JSON object with a string `text`: {error}; "
                "mend the line or take it out"
            ) from error
        yield from cut(text)


def parquet_documents(path: Path) -> Iterator[Document]:
    """The column `text` of a parquet file, some rows at a time; missing values are passed over.

    Raises:
        CorpusError: It isn't a parquet file, or has no column `text` of strings.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            kind = schema.field("text").type if "text" in schema.names else None
            if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                columns = ", ".join(f"{each.name} ({each.type})" for each in schema)
                raise CorpusError(
                    f"{path} has no column `text` of strings, only {columns}; rename the column "
                    "that holds the text"
                )
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=["text"], use_threads=False):
                for text in batch.column(0).to_pylist():
                    yield from cut(text or "")
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        cause = " ".join(str(error).split())
        raise CorpusError(
            f"{path} can't be read as parquet: {cause}; fetch or write it again"
        ) from error


def cut(text: str, is_part: bool = False) -> Iterator[Document]:
    """A document as it is, or in parts if it is long; nothing if it is blank.

    Args:
        text: The document; newlines at both ends are dropped.
        is_part: Whether it is part of a longer one already.
    """
    parts = _slices(text) if len(text) > LONGEST_CHARACTERS else [text]
    for part in parts:
        stripped = part.strip("\r\n")
        if stripped.strip():
            yield Document(stripped, is_part or len(parts) > 1)


def _slices(text: str) -> list[str]:
    """Parts of about `PART_CHARACTERS`, at the best seam near by; joined they are the text."""
    parts, start = [], 0
    while len(text) - start > 2 * PART_CHARACTERS:
        window = start + PART_CHARACTERS, start + 2 * PART_CHARACTERS
        found = next(filter(None, (seam.search(text, *window) for seam in SEAMS)), None)
        end = found.end() if found else window[0]
        parts.append(text[start:end])
        start = end
    return [*parts, text[start:]]


def _decoded_blocks(stream: IO[bytes], path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position, block = 0, b"."
    while block:
        block = stream.read(BLOCK_BYTES)
        zero = block.find(b"\0")
        if zero >= 0:
            raise CorpusError(
                f"{path} is binary (a zero byte at offset {position + zero:,}), UTF-8 text was "
                "expected; leave it out, or save it as text"
            )
        carried = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            at = position - carried + error.start
            raise CorpusError(
                f"{path} isn't UTF-8: the byte at offset {at:,} is "
                f"0x{error.object[error.start]:02x}; convert it, for instance with `iconv -t utf-8`"
            ) from error
        yield text.removeprefix("\ufeff") if position == 0 else text
        position += len(block)


def _supported_files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        if not _kind(path)[0]:
            raise CorpusError(f"{path} is of no kind that can be read; {SUPPORTED}")
        return (path,)
    if not path.is_dir():
        raise CorpusError(f"there is no file or folder {path} to read text from")
    found = [
        each
        for each in path.rglob("*")
        if _kind(each)[0]
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
        and each.is_file()
    ]
    if not found:
        raise CorpusError(f"the folder {path} holds no text; {SUPPORTED}")
    return tuple(sorted(found, key=lambda each: each.relative_to(path).as_posix()))


def _kind(path: Path) -> tuple[str, str]:
    """The kind of a file and its compression, as suffixes; two empty ones if not supported."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-1] if suffixes else ""
    if last == ".parquet":
        return last, ""
    compression = last if last in (".gz", ".xz") else ""
    kind = suffixes[-2] if compression and len(suffixes) > 1 else last
    return (kind, compression) if kind in (*TEXT_SUFFIXES, ".jsonl") else ("", "")


def _opened(path: Path, compression: str) -> AbstractContextManager[IO[bytes]]:
    openers: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".xz": lzma.open}
    opened = openers[compression](path) if compression else path.open("rb")
    return cast("AbstractContextManager[IO[bytes]]", opened)


class _Line(msgspec.Struct, frozen=True):
    text: str
