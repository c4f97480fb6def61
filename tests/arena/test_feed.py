"""The stream: every document once an epoch, the same for the same seed, and never past the end."""

import os
import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.arena.feed import Feeder, Packer
from evo.arena.wire import Kind, read_frame
from evo.corpus.corpus import Corpus, Split


def test_an_epoch_holds_every_document_once(corpus: Corpus) -> None:
    tokens = corpus.tokens(Split.TRAIN)
    packer = Packer(corpus, 99, seed=3)
    rows = packer.take(len(tokens) // 100 + 1).reshape(-1)[: len(tokens)]
    assert np.bincount(rows, minlength=512).tolist() == np.bincount(tokens, minlength=512).tolist()
    starts = np.count_nonzero(rows == corpus.bos)
    assert starts == len(corpus.offsets(Split.TRAIN)) - 1


def test_seeds_and_epochs_differ_and_equal_seeds_do_not(corpus: Corpus) -> None:
    one, same, other = (Packer(corpus, 64, seed) for seed in (1, 1, 2))
    first = one.take(50)
    assert (first == same.take(50)).all()
    assert not (first == other.take(50)).all()
    epoch = len(corpus.tokens(Split.TRAIN)) // 65
    one.take(epoch)
    assert not (one.take(50) == first).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_the_stream_does_not_depend_on_how_it_is_asked_for(corpus: Corpus, rows: list[int]) -> None:
    packer = Packer(corpus, 16, seed=5)
    cut = np.concatenate([packer.take(number) for number in rows])
    assert (cut == Packer(corpus, 16, seed=5).take(sum(rows))).all()


def test_the_clock_starts_with_the_first_batch_and_the_stream_ends_with_the_time(
    corpus: Corpus,
) -> None:
    reading, writing = os.pipe()
    begun, up = threading.Event(), threading.Event()
    feeder = Feeder(Packer(corpus, 16, 1), writing, begun.set, up.is_set)
    feeder.start()
    assert not begun.is_set()
    for rows in (2, 3, 1):
        feeder.order(rows)
        kind, body = read_frame(reading)
        assert kind is Kind.BATCH
        assert len(body) == rows * 17 * 2
        assert begun.is_set()
    up.set()
    for _ in range(2):
        feeder.order(2)
        assert read_frame(reading) == (Kind.END, bytearray())
    feeder.stop(5.0)
    assert (feeder.batches_served, feeder.rows_served) == (3, 6)
    os.close(reading)
    os.close(writing)


def test_a_trainee_that_is_gone_ends_the_stream(corpus: Corpus) -> None:
    reading, writing = os.pipe()
    feeder = Feeder(Packer(corpus, 16, 1), writing, lambda: None, lambda: False)
    feeder.start()
    os.close(reading)
    feeder.order(1)
    assert feeder.ended.wait(5.0)
    feeder.stop(5.0)
    os.close(writing)
