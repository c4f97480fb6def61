"""Climbmix: web text in numbered parquet shards, the data of the GPU's searches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from evo.corpus.corpus import SourceRecord
from evo.corpus.documents import Document, parquet_documents
from evo.corpus.download import Patience, download
from evo.corpus.sources import Listener, Text
from evo.errors import CorpusError

BASE_URL = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
MOST_SHARDS = 6_543


@dataclass(frozen=True, slots=True)
class ClimbmixSource:
    """The first shards of climbmix-400b-shuffle: 400 billion tokens of web text, shuffled.

    Args:
        folder: Where shards are kept, for other vocabularies and for more shards later.
        shards: How many, of about 90 MB each.
        base_url: Where the shards are; a mirror, if not their home.

    Raises:
        CorpusError: There aren't so many shards, or the address isn't one of the web.
    """

    folder: Path
    shards: int
    base_url: str = BASE_URL
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MOST_SHARDS:
            raise CorpusError(
                f"climbmix has 1 to {MOST_SHARDS:,} shards, not {self.shards:,}; give another "
                "--shards"
            )
        if not self.base_url.startswith(("https://", "http://")):
            raise CorpusError(
                f"--base-url is {self.base_url!r}, an address https://… was expected; for shards "
                "that are on disk use --source PATH"
            )

    def record(self) -> SourceRecord:
        return SourceRecord(
            kind="climbmix",
            description=f"climbmix-400b-shuffle, shards 0 to {self.shards - 1}",
            licence="CC BY-NC 4.0, for research and development only (NVIDIA ClimbMix)",
            request=f"climbmix {self.shards} shards",
        )

    def fetch(self, listener: Listener) -> Text:
        names = [f"shard_{number:05d}.parquet" for number in range(self.shards)]
        files = download(names, self.base_url, self.folder, self.patience, listener)
        record = msgspec.structs.replace(self.record(), downloads=files)
        return _Shards(self.folder, record)


@dataclass(frozen=True, slots=True)
class _Shards:
    """Climbmix on this machine."""

    folder: Path
    known: SourceRecord

    def record(self) -> SourceRecord:
        return self.known

    def documents(self) -> Iterator[Document]:
        for file in self.known.downloads:
            yield from parquet_documents(self.folder / file.name)
