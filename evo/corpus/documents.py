"""Documents: how files of several kinds are read as a sequence of them.

Long ones are cut at blank lines, for validation is split off by document.
"""

from __future__ import annotations

import codecs
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec

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


def documents_of(path: Path) -> Iterator[Document]:
    """The documents of one file, read by its suffix.

    Raises:
        CorpusError: It can't be read, or isn't what its suffix says.
    """
    kind, compression = kind_of(path)
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


def kind_of(path: Path) -> tuple[str, str]:
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
