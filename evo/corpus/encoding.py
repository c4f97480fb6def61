"""Encoding: documents become the token files of their splits, byte for byte accounted for."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from evo.corpus import tokenizer as bpe
from evo.corpus.corpus import FileRecord, Split, SplitRecord
from evo.corpus.sources import Listener, Progress, Stage
from evo.corpus.splitting import DROPPED, SPLITS, Partition
from evo.errors import CorpusError

BATCH_BYTES = 1_000_000
"""Of text that is encoded at a time: enough to keep some cores busy."""
WIDEST_UINT16 = 65_535
"""Token ids; with more, tokens are uint32."""


def write_file(path: Path, data: bytes) -> FileRecord:
    """Writes a new file, on disk for good when this returns."""
    with path.open("xb") as stream:
        stream.write(data)
        sync(stream)
    return FileRecord(path.name, len(data), hashlib.sha256(data).hexdigest())


def sync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The type of tokens on disk, little-endian."""
    return np.dtype("<u4" if vocab_size > WIDEST_UINT16 else "<u2")


class SplitWriter:
    """The two files of a split, as they grow; a context that closes them."""

    def __init__(self, folder: Path, split: Split, dtype: np.dtype[Any]) -> None:
        self._path = folder / f"{split}.tokens.bin"
        self._offsets_path = folder / f"{split}.offsets.bin"
        self._stream = self._path.open("xb")
        self._digest = hashlib.sha256()
        self._dtype = dtype
        self._offsets = array("q", [0])
        self._bytes = 0

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def add(self, ids: NDArray[Any], text_bytes: int) -> None:
        """Appends a document.

        Args:
            ids: Shape (tokens,), beginning with BOS.
            text_bytes: UTF-8 bytes of its text.
        """
        data = ids.astype(self._dtype, copy=False).tobytes()
        self._stream.write(data)
        self._digest.update(data)
        self._offsets.append(self._offsets[-1] + len(ids))
        self._bytes += text_bytes

    def finish(self) -> SplitRecord:
        """Puts the files on disk for good."""
        sync(self._stream)
        offsets = np.array(self._offsets, dtype="<i8").tobytes()
        size = self._offsets[-1] * self._dtype.itemsize
        return SplitRecord(
            documents=len(self._offsets) - 1,
            tokens=self._offsets[-1],
            bytes=self._bytes,
            tokens_file=FileRecord(self._path.name, size, self._digest.hexdigest()),
            offsets_file=write_file(self._offsets_path, offsets),
        )


def encode_splits(
    documents: Iterable[tuple[int, str]],
    plan: Partition,
    sizes: NDArray[np.int64],
    learnt: Any,
    folder: Path,
    on_progress: Listener,
) -> dict[Split, SplitRecord]:
    """Writes the token files of every split.

    Training documents go to disk as they come. Validation documents are few: they wait, and are
    written in the order of their hashes, so that the first tokens of a split are as good a sample
    as all of it.

    Args:
        documents: Number and text of each document of the source.
        plan: Which split each number belongs to.
        sizes: Shape (documents,): UTF-8 bytes of each.
        learnt: The tokenizer.
        folder: Where the files go.
        on_progress: Told of every batch.

    Raises:
        CorpusError: Tokens don't stand for all bytes of a text.
        OSError: A file can't be written.
    """
    token_bytes = bpe.token_bytes_of(learnt)
    bos = len(token_bytes) - 1
    dtype = token_dtype(len(token_bytes))
    total, done = int(sizes[plan.codes != DROPPED].sum()), 0
    waiting: list[tuple[int, int, NDArray[Any]]] = []
    with ExitStack() as stack:
        writers = [stack.enter_context(SplitWriter(folder, split, dtype)) for split in SPLITS]
        for batch in _batches(documents, plan, sizes):
            encoded = bpe.encode(learnt, [text for _, text in batch])
            for (number, _), ids in zip(batch, encoded, strict=True):
                tokens = np.array([bos, *ids], dtype=dtype)
                _check_bytes(int(token_bytes[tokens].sum()), int(sizes[number]))
                if SPLITS[plan.codes[number]] is Split.TRAIN:
                    writers[plan.codes[number]].add(tokens, int(sizes[number]))
                else:
                    waiting.append((int(plan.ranks[number]), number, tokens))
                done += int(sizes[number])
            on_progress(Progress(Stage.ENCODE, done, total))
        for _, number, tokens in sorted(waiting, key=lambda each: each[0]):
            writers[plan.codes[number]].add(tokens, int(sizes[number]))
        return {split: writer.finish() for split, writer in zip(SPLITS, writers, strict=True)}


def _batches(
    documents: Iterable[tuple[int, str]], plan: Partition, sizes: NDArray[np.int64]
) -> Iterator[list[tuple[int, str]]]:
    """Documents that are kept, about a megabyte at a time."""
    batch: list[tuple[int, str]] = []
    size = 0
    for number, text in documents:
        if plan.codes[number] == DROPPED:
            continue
        batch.append((number, text))
        size += int(sizes[number])
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _check_bytes(found: int, expected: int) -> None:
    """Bits per byte are wrong if the bytes are; so this is checked for every document."""
    if found != expected:
        raise CorpusError(
            f"a text of {expected:,} bytes was encoded as tokens that stand for {found:,}; please "
            "report this with the version of the tokenizers package"
        )
