"""Splitting: which documents validate and which train, decided by the hash of their text.

Documents are ordered by hash; the first go to `locked`, the next to `holdout`, then `search`, and
the rest trains. So equal documents can't straddle splits, the order of files doesn't matter, and
neither chance nor a date is involved.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evo.corpus.corpus import Split
from evo.errors import CorpusError

DIGEST_BYTES = 16
SPLITS = (Split.TRAIN, Split.SEARCH, Split.HOLDOUT, Split.LOCKED)
"""By code; see `Partition.codes`."""
DROPPED = len(SPLITS)
VALIDATION_CODES = (3, 2, 1)
"""In the order in which they are filled."""

SHARE = 0.01
"""Of the text, for each of the three validation splits; see the bounds below."""
FEWEST_TOKENS = 96_000
"""65,536 tokens to score and a margin, for tokens are estimated before there is a tokenizer."""
MOST_TOKENS = 2_000_000
LARGEST_SHARE = 0.08
"""A short text keeps most of itself for training and gets smaller validation splits."""
LEAST_TOKENS = 4_096
"""With less, a split can't tell a better model from a worse one."""
LEAST_TRAIN_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Partition:
    """What becomes of every document, in the order in which the source yields them."""

    codes: NDArray[np.uint8]
    """Shape (documents,): an index into `SPLITS`, or `DROPPED` for a copy of an earlier one."""
    ranks: NDArray[np.int64]
    """Shape (documents,): the place in the order of hashes."""
    sampled: NDArray[np.bool_]
    """Shape (documents,): whether the tokenizer learns from it; always from the train split."""
    train_bytes: int
    sample_bytes: int

    @property
    def duplicates(self) -> int:
        return int(np.count_nonzero(self.codes == DROPPED))


def digest_of(text: bytes) -> bytes:
    """What a document is known by, `DIGEST_BYTES` long."""
    return hashlib.sha256(text).digest()[:DIGEST_BYTES]


def bytes_per_token(vocab_size: int) -> float:
    """A low guess for English at a vocabulary: about 3.4 at 2,048 ids and 4.4 at 8,192."""
    return max(1.0, 0.5 * math.log2(vocab_size) - 2.1)


def partition(
    digests: bytes,
    sizes: NDArray[np.int64],
    vocab_size: int,
    most_sample_bytes: int,
    held_out: NDArray[np.bool_] | None = None,
) -> Partition:
    """Decides what becomes of every document.

    Args:
        digests: `digest_of` each document, one after another.
        sizes: Shape (documents,): UTF-8 bytes of each.
        vocab_size: Token ids, by which tokens are estimated.
        most_sample_bytes: As much of the train split, at about, is for the tokenizer to learn from.
        held_out: Shape (documents,): which are for validation, if that isn't ours to choose.

    Raises:
        CorpusError: The text is too short, or of too few documents, for three validation splits
            and more than them to train on.
    """
    keys = np.frombuffer(digests, dtype=">u8").reshape(len(sizes), 2).astype(np.uint64)
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: of equal documents the first is first
    ordered = keys[order]
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    codes = np.full(len(order), DROPPED, dtype=np.uint8)
    kept = order[fresh]
    if held_out is not None and held_out.any():
        validating = kept[held_out[kept]]
        codes[kept] = SPLITS.index(Split.TRAIN)
        codes[validating] = _thirds(sizes[validating], vocab_size)
    else:
        codes[kept] = _codes(sizes[kept], vocab_size)
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    train = codes == SPLITS.index(Split.TRAIN)
    train_bytes = int(sizes[train].sum())
    # The first half of a hash chose the split; the second one is still fair.
    share = min(1.0, most_sample_bytes / max(train_bytes, 1))
    sampled = train if share == 1.0 else train & (keys[:, 1] < np.uint64(share * 2.0**63) * 2)
    return Partition(codes, ranks, sampled, train_bytes, int(sizes[sampled].sum()))


def _thirds(sizes: NDArray[np.int64], vocab_size: int) -> NDArray[np.uint8]:
    """Shares documents that are for validation out among its three splits, by size.

    Raises:
        CorpusError: There are too few of them.
    """
    total, ends = int(sizes.sum()), np.cumsum(sizes)
    needed = math.ceil(3 * LEAST_TOKENS * bytes_per_token(vocab_size))
    if total < needed or len(sizes) < 3:
        raise CorpusError(
            f"the validation text is too short to be split in three: it has {total:,} bytes in "
            f"{len(sizes):,} documents, and {needed:,} are needed; add text"
        )
    thirds = np.minimum(3 * (ends - sizes) // max(total, 1), 2)
    codes: NDArray[np.uint8] = np.array(VALIDATION_CODES, dtype=np.uint8)[thirds]
    return codes


def _codes(sizes: NDArray[np.int64], vocab_size: int) -> NDArray[np.uint8]:
    """Codes of documents that are in the order of their hashes."""
    each = bytes_per_token(vocab_size)
    total = int(sizes.sum())
    wanted = min(max(SHARE * total, FEWEST_TOKENS * each), MOST_TOKENS * each)
    wanted = min(wanted, LARGEST_SHARE * total)
    if wanted < LEAST_TOKENS * each:
        raise CorpusError(
            f"the text is too short to be split: it has {total:,} bytes, and a vocabulary of "
            f"{vocab_size:,} needs {math.ceil(LEAST_TOKENS * each / LARGEST_SHARE):,}; "
            "add text, or take a smaller --vocab-size"
        )
    codes = np.zeros(len(sizes), dtype=np.uint8)
    ends = np.cumsum(sizes)
    start = filled = 0
    for code in VALIDATION_CODES:
        end = int(np.searchsorted(ends, filled + wanted)) + 1
        codes[start:end] = code
        start, filled = end, int(ends[min(end, len(ends)) - 1])
    if total - filled < LEAST_TRAIN_SHARE * total:
        raise CorpusError(
            f"the text has too few documents to be split: of {total:,} bytes in {len(sizes):,} "
            f"documents {total - filled:,} would be left to train on, and it should be half; "
            "add text, or separate documents by lines `<|endoftext|>`"
        )
    return codes
