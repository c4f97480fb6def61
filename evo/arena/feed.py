"""The training stream: documents shuffled by the referee's seed, packed into rows, made ahead.

Every epoch is another permutation of the documents, laid end to end (each begins with BOS) and cut
into rows, so that no token is wasted on padding.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.arena.wire import Kind, PipeClosedError, write_frame
from evo.corpus.corpus import Corpus, Split


class Packer:
    """Draws rows of training tokens, the same ones for the same seed and sizes.

    Args:
        corpus: The prepared data; only its train split is read.
        sequence_len: T; a row has T + 1 tokens.
        seed: Seed of the order of the documents.
    """

    def __init__(self, corpus: Corpus, sequence_len: int, seed: int) -> None:
        self._tokens = corpus.tokens(Split.TRAIN)
        self._offsets = corpus.offsets(Split.TRAIN)
        self._sequence_len = sequence_len
        self._seed = seed
        self._epoch = 0
        self._order: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._position = 0
        self._rest = self._tokens[:0]

    def take(self, rows: int) -> NDArray[np.integer[Any]]:
        """The next rows.

        Returns:
            Shape (rows, sequence_len + 1), in the corpus's dtype.
        """
        wanted = rows * (self._sequence_len + 1)
        pieces, have = [self._rest], len(self._rest)
        while have < wanted:
            pieces.append(self._next_document())
            have += len(pieces[-1])
        stream = np.concatenate(pieces)
        self._rest = stream[wanted:]
        return stream[:wanted].reshape(rows, self._sequence_len + 1)

    def _next_document(self) -> NDArray[np.integer[Any]]:
        if self._position == len(self._order):
            generator = np.random.default_rng([self._seed, self._epoch])
            self._order = generator.permutation(len(self._offsets) - 1)
            self._epoch, self._position = self._epoch + 1, 0
        document = self._order[self._position]
        self._position += 1
        start, end = self._offsets[document], self._offsets[document + 1]
        piece: NDArray[np.integer[Any]] = self._tokens[start:end]
        return piece


class Feeder:
    """Answers a trainee's orders on a thread of its own, one batch ahead.

    The next batch is packed while the trainee works on the last one, so that handing it over costs
    one write to a pipe.

    Args:
        packer: Where rows come from.
        descriptor: The pipe to the trainee.
        on_first_batch: Called right before the first batch goes out: the clock starts here.
        time_is_up: Asked before every batch; once true, the answer is END.
    """

    def __init__(
        self,
        packer: Packer,
        descriptor: int,
        on_first_batch: Callable[[], None],
        time_is_up: Callable[[], bool],
    ) -> None:
        self._packer = packer
        self._descriptor = descriptor
        self._on_first_batch = on_first_batch
        self._time_is_up = time_is_up
        self._orders: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._ahead: NDArray[np.integer[Any]] | None = None
        self._thread = threading.Thread(target=self._serve, name="feeder", daemon=True)
        self.rows_served = 0
        self.batches_served = 0
        self.ended = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def order(self, rows: int) -> None:
        """One more batch of so many rows is wanted; returns at once."""
        self._orders.put(rows)

    @property
    def waiting(self) -> int:
        """Orders that nobody has begun to serve."""
        return self._orders.qsize()

    def stop(self, timeout_seconds: float) -> None:
        """Ends the thread; the trainee's end of the pipe must be closed or drained."""
        self._orders.put(0)
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _serve(self) -> None:
        try:
            while (rows := self._orders.get()) > 0:
                if self.ended.is_set() or (self.batches_served and self._time_is_up()):
                    self.ended.set()
                    write_frame(self._descriptor, Kind.END)
                    continue
                batch = self._prepare(rows)
                if not self.batches_served:
                    self._on_first_batch()
                write_frame(self._descriptor, Kind.BATCH, batch.data)
                self.batches_served += 1
                self.rows_served += rows
                if self._ahead is None:
                    self._ahead = self._packer.take(rows)
        except PipeClosedError:
            self.ended.set()

    def _prepare(self, rows: int) -> NDArray[np.integer[Any]]:
        """The batch packed ahead, or, when the size of the batches changes, as much of it."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return self._packer.take(rows)
        if len(ahead) < rows:
            return np.concatenate([ahead, self._packer.take(rows - len(ahead))])
        if len(ahead) > rows:
            self._ahead = ahead[rows:]
        return ahead[:rows]
