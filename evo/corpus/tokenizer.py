"""The tokenizer: a byte-level BPE learnt from the training text, and the raw bytes of its ids.

The vocabulary begins with the 256 bytes, so that every text can be encoded. BOS is the id after the
last one that the tokenizer knows, so that no text is ever encoded as BOS, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.corpus.corpus import Corpus, Split
from evo.errors import CorpusError

FEWEST_IDS = 257
"""The bytes and BOS."""
MOST_IDS = 1 << 20
SAMPLE_TOKENS = 2_000
WORDS = (
    r"'(?i:[sdmt]|ll|ve|re)"  # English contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with the space or sign before it
    r"|\p{N}{1,2}"  # at most two digits: a small vocabulary has no room for longer numbers
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"  # blank space
)
"""No token crosses the border between two of these."""


def check_vocab_size(vocab_size: int) -> None:
    """Refuses a vocabulary that can't be made.

    Raises:
        CorpusError: It is too small for the bytes, or absurdly large.
    """
    if not FEWEST_IDS <= vocab_size <= MOST_IDS:
        raise CorpusError(
            f"a vocabulary has {FEWEST_IDS:,} (the 256 bytes and BOS) to {MOST_IDS:,} token ids, "
            f"not {vocab_size:,}; give another --vocab-size"
        )


def learn(texts: Iterable[str], vocab_size: int) -> Any:
    """Learns a byte-level BPE; equal texts give an equal tokenizer.

    Args:
        texts: What to learn from.
        vocab_size: Token ids, with BOS; short texts may give fewer.

    Returns:
        A `tokenizers.Tokenizer` of at most `vocab_size - 1` ids.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of several texts, without BOS."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [each.ids for each in encoded]


def token_bytes_of(tokenizer: Any) -> NDArray[np.int64]:
    """Raw bytes of every token id, BOS included.

    The byte-level alphabet writes each byte as one character, so a token has as many bytes as
    characters. Decoding it instead would count the half of a character as a replacement character
    of three bytes.

    Returns:
        Shape (vocab_size,); 0 for BOS, which is the last.
    """
    sizes = np.zeros(tokenizer.get_vocab_size() + 1, dtype=np.int64)
    for token, id_ in tokenizer.get_vocab().items():
        sizes[id_] = len(token)
    return sizes


def excerpt(corpus: Corpus, document: int, characters: int) -> str:
    """The beginning of a document of the train split; other splits are nobody's to read.

    Raises:
        CorpusError: There is no such document.
    """
    offsets = corpus.offsets(Split.TRAIN)
    if not 0 <= document < len(offsets) - 1:
        raise CorpusError(
            f"the train split has documents 0 to {len(offsets) - 2:,}, there is no {document:,}"
        )
    start, end = offsets[document], offsets[document + 1]
    ids = corpus.tokens(Split.TRAIN)[start + 1 : min(end, start + 1 + SAMPLE_TOKENS)]
    text: str = load(corpus.tokenizer_path).decode(ids.tolist())
    return text[:characters]


def save(tokenizer: Any) -> bytes:
    """The tokenizer as the content of a `tokenizer.json`."""
    text: str = tokenizer.to_str(pretty=False)
    return text.encode("utf-8")


def load(path: Path) -> Any:
    """The tokenizer of a corpus.

    Raises:
        CorpusError: The file isn't a tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise CorpusError(
            f"{path} isn't a tokenizer ({error}); prepare the data again with --force"
        ) from error
