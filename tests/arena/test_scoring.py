"""Bits per byte: of a known distribution, by hand, and never over what isn't text."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.arena.scoring import bits_per_byte, rows_of
from evo.corpus.corpus import Corpus, Split


def test_a_uniform_guess_over_bytes_costs_eight_bits_each() -> None:
    nll = np.full((3, 5), math.log(256), dtype=np.float32)
    targets = np.arange(15).reshape(3, 5)
    assert bits_per_byte(nll, targets, np.ones(256, dtype=np.int64)) == pytest.approx(8.0)


def test_special_tokens_count_neither_as_bits_nor_as_bytes() -> None:
    sizes = np.array([2, 4, 0])  # the last one is BOS
    nll = np.array([[1.0, 2.0, 50.0]], dtype=np.float32)
    assert bits_per_byte(nll, np.array([[0, 1, 2]]), sizes) == pytest.approx(3.0 / math.log(2) / 6)


@given(st.integers(2, 200), st.integers(300, 5000))
def test_every_target_is_scored_once_and_rows_overlap_by_one(
    corpus: Corpus, sequence_len: int, most_tokens: int
) -> None:
    rows = rows_of(corpus, Split.SEARCH, sequence_len, most_tokens)
    tokens = corpus.tokens(Split.SEARCH)
    assert rows.shape[1] == sequence_len + 1
    assert rows[:, 1:].size <= most_tokens
    assert (rows[:, 1:].reshape(-1) == tokens[1 : rows[:, 1:].size + 1]).all()
    assert (rows[1:, 0] == rows[:-1, -1]).all()
