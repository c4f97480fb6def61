"""The opened corpus: what a referee reads of prepared data, and where prepared data lives.

A corpus is a folder: `manifest.json`, `tokenizer.json`, `token_bytes.bin` and, for every split,
`SPLIT.tokens.bin` (token ids) and `SPLIT.offsets.bin` (where documents start). All numbers are
little-endian. Opening one reads two small files and the sizes of the others.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evo.errors import CorpusError

SCHEMA = 1
MANIFEST = "manifest.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What prepared data may be called."""
KNOWN_SOURCES = ("embedded", "climbmix")
"""Sources that have a name; any other source is a path."""
HASH_BLOCK_BYTES = 1 << 20


class Split(StrEnum):
    """The parts of a corpus. Only `TRAIN` ever reaches a trainee."""

    TRAIN = "train"
    SEARCH = "search"
    """Scores every trial."""
    HOLDOUT = "holdout"
    """Opened when a champion is confirmed."""
    LOCKED = "locked"
    """Opened for the report, each time on record."""


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file, as it has to be."""

    name: str
    bytes: int
    sha256: str


class SplitRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One split: its size, and the files that it is in."""

    documents: int
    tokens: int
    """With the BOS of every document."""
    bytes: int
    """UTF-8 bytes of the text."""
    tokens_file: FileRecord
    offsets_file: FileRecord


class SourceRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the text is from."""

    kind: str
    """`embedded`, `climbmix` or `files`."""
    description: str
    licence: str
    """What is known of it; says so if nothing is."""
    request: str
    """What was asked for; equal requests with equal vocabularies get equal corpora."""
    downloads: tuple[FileRecord, ...] = ()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a corpus is. It has neither dates nor paths: equal text gives an equal manifest."""

    schema: int
    name: str
    created_by: str
    source: SourceRecord
    requested_vocab_size: int
    vocab_size: int
    """Token ids, BOS among them; less than requested if the text is too short for more."""
    bos: int
    token_dtype: str
    """`uint16`, or `uint32` for vocabularies above 65,535."""
    documents_cut: str
    """By which rule long documents were cut."""
    parts: int
    """Documents of the splits that are parts of a longer one."""
    duplicates: int
    """Documents that were dropped because an equal one was there already."""
    tokenizer: FileRecord
    token_bytes: FileRecord
    splits: dict[Split, SplitRecord]

    @property
    def files(self) -> Iterator[FileRecord]:
        """Every file of the corpus but the manifest itself."""
        yield self.tokenizer
        yield self.token_bytes
        for split in self.splits.values():
            yield split.tokens_file
            yield split.offsets_file


@dataclass(frozen=True, eq=False)
class Corpus:
    """Prepared data that is complete, as far as sizes tell; `verify` reads every byte."""

    folder: Path
    manifest: Manifest
    sha: str
    """SHA-256 of the manifest's canonical JSON without the name and the version of evo, which
    change nothing that is measured. Every trial records it."""
    token_bytes: NDArray[np.int64]
    """Shape (vocab_size,): raw bytes that each token id stands for; 0 for BOS."""

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """Opens prepared data.

        Raises:
            CorpusError: There is none, it is of another schema, or a file is missing or has the
                wrong size.
        """
        manifest = _read_manifest(folder)
        for file in manifest.files:
            _check_size(folder, file)
        raw = np.fromfile(folder / manifest.token_bytes.name, dtype="<i8")
        token_bytes = raw.astype(np.int64, copy=False)
        token_bytes.setflags(write=False)
        return cls(folder, manifest, sha_of(manifest), token_bytes)

    @property
    def vocab_size(self) -> int:
        return self.manifest.vocab_size

    @property
    def bos(self) -> int:
        """The token id that every document starts with; no text is ever encoded as it."""
        return self.manifest.bos

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / self.manifest.tokenizer.name

    def tokens(self, split: Split) -> np.memmap[Any, np.dtype[Any]]:
        """Token ids of a split, document after document.

        Returns:
            Shape (tokens,), uint16 or uint32, read-only, mapped from the file.
        """
        file = self.manifest.splits[split].tokens_file
        return np.memmap(self.folder / file.name, dtype=_dtype(self.manifest), mode="r")

    def offsets(self, split: Split) -> NDArray[np.int64]:
        """Where documents start in `tokens(split)`.

        Returns:
            Shape (documents + 1,); the last one is the number of tokens.
        """
        file = self.manifest.splits[split].offsets_file
        raw = np.fromfile(self.folder / file.name, dtype="<i8")
        return raw.astype(np.int64, copy=False)

    def verify(self) -> None:
        """Reads every byte and compares it with the manifest; seconds for each gigabyte.

        Raises:
            CorpusError: A file isn't what it was when it was written.
        """
        for file in self.manifest.files:
            found = sha256_of(self.folder / file.name)
            if found != file.sha256:
                raise _damaged(
                    self.folder,
                    f"{file.name} should have SHA-256 {file.sha256[:12]}…, it has {found[:12]}…",
                )


def sha_of(manifest: Manifest) -> str:
    """SHA-256 of what a manifest says of the data."""
    anonymous = msgspec.structs.replace(manifest, name="", created_by="")
    return hashlib.sha256(msgspec.json.encode(anonymous, order="sorted")).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        CorpusError: It can't be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise CorpusError(f"{path} can't be read: {error.strerror or error}") from error
    return digest.hexdigest()


def data_folder() -> Path:
    """Where prepared data lives: $EVO_DATA_DIR, or the user's cache folder."""
    chosen = os.environ.get("EVO_DATA_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("evo") / "data"


def prepared() -> list[Path]:
    """The folders of all prepared data, by name."""
    return sorted(path.parent for path in data_folder().glob(f"*/{MANIFEST}") if _named(path))


def locate(name_or_path: str | Path) -> Path:
    """The folder of prepared data.

    Args:
        name_or_path: A name (`evo data list`), which goes first, or the path of a folder.

    Raises:
        CorpusError: There is no such data.
    """
    text = str(name_or_path)
    if NAME.fullmatch(text) and (data_folder() / text / MANIFEST).is_file():
        return data_folder() / text
    path = Path(text).expanduser()
    if text and (path / MANIFEST).is_file():
        return path.absolute()
    source = text if text in KNOWN_SOURCES else "PATH"
    name = f" --name {text}" if source == "PATH" and NAME.fullmatch(text) else ""
    names = ", ".join(found.name for found in prepared())
    there = f" (prepared so far: {names})" if names else ""
    raise CorpusError(
        f"there is no prepared data {text!r}{there}; prepare it with "
        f"`evo data prepare --source {source}{name}`"
    )


def _named(manifest: Path) -> bool:
    return NAME.fullmatch(manifest.parent.name) is not None


class _Schema(msgspec.Struct, frozen=True):
    schema: int


def _read_manifest(folder: Path) -> Manifest:
    try:
        raw = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        raise CorpusError(
            f"{folder} holds no prepared data (no {MANIFEST}); make some with `evo data prepare`"
        ) from error
    except OSError as error:
        raise CorpusError(f"{folder / MANIFEST} can't be read: {error.strerror}") from error
    try:
        schema = msgspec.json.decode(raw, type=_Schema).schema
        if schema != SCHEMA:
            raise CorpusError(
                f"{folder} was prepared with schema {schema}, this evo reads schema {SCHEMA}; "
                "prepare it again with `evo data prepare --force`"
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise _damaged(folder, f"{MANIFEST} isn't readable: {error}") from error
    cause = _inconsistency(manifest)
    if cause:
        raise _damaged(folder, f"{MANIFEST} contradicts itself: {cause}")
    return manifest


def _inconsistency(manifest: Manifest) -> str:
    """What the manifest says that can't be; empty if it is sound."""
    if set(manifest.splits) != set(Split):
        return f"it has the splits {', '.join(sorted(manifest.splits))}"
    if manifest.token_dtype not in ("uint16", "uint32"):
        return f"tokens are of type {manifest.token_dtype}"
    if not 0 <= manifest.bos < manifest.vocab_size:
        return f"BOS is {manifest.bos} in a vocabulary of {manifest.vocab_size}"
    if manifest.token_bytes.bytes != manifest.vocab_size * 8:
        return f"{manifest.token_bytes.name} isn't a number for each token id"
    for file in manifest.files:
        # A corpus can come by mail: it names its own files and nobody else's.
        if not NAME.fullmatch(file.name):
            return f"a file is called {file.name!r}"
    size = _dtype(manifest).itemsize
    for name, split in manifest.splits.items():
        if split.tokens_file.bytes != split.tokens * size or split.tokens < 1:
            return f"{name} has {split.tokens} tokens in {split.tokens_file.bytes} bytes"
        if split.offsets_file.bytes != (split.documents + 1) * 8:
            return f"{name} has {split.documents} documents, but not as many offsets"
    return ""


def _check_size(folder: Path, file: FileRecord) -> None:
    try:
        size = (folder / file.name).stat().st_size
    except OSError as error:
        raise _damaged(folder, f"{file.name} can't be read ({error.strerror})") from error
    if size != file.bytes:
        raise _damaged(folder, f"{file.name} should have {file.bytes:,} bytes, it has {size:,}")


def _damaged(folder: Path, cause: str) -> CorpusError:
    return CorpusError(
        f"the prepared data in {folder} is damaged: {cause}; prepare it again with "
        "`evo data prepare --force`"
    )


def _dtype(manifest: Manifest) -> np.dtype[Any]:
    return np.dtype(manifest.token_dtype).newbyteorder("<")
