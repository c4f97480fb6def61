"""Cells that are started before they are needed: a trial doesn't wait while libraries load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from evo.sandbox.sandbox import Cell


class Cells:
    """The cells of one referee, each of them used once.

    A cell that waits has only loaded evo's own code and its libraries; it learns what it is for,
    and is given a candidate's code, when the one before it is dead.

    Args:
        start: Starts one more.
    """

    def __init__(self, start: Callable[[], Cell]) -> None:
        self._start, self._waiting = start, list[Cell]()

    def __enter__(self) -> Cells:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, count: int) -> None:
        """Sees to it that so many wait; from the thread that will use them: they die with it."""
        while len(self._waiting) < count:
            self._waiting.append(self._start())

    def take(self, log: Path | None = None) -> Cell:
        """One that nobody has used; whoever takes it ends it.

        Args:
            log: Where what it prints is kept; None keeps the end in memory only. That of a scorer
                is kept nowhere: it has seen validation text.
        """
        cell = next(self._alive(), None) or self._start()
        if log is not None:
            cell.log.keep(log)
        return cell

    def close(self, but: int = 0) -> None:
        """Ends those that wait, but for so many."""
        while len(self._waiting) > but:
            self._waiting.pop().end()

    def _alive(self) -> Iterator[Cell]:
        """Takes them in the order of their start; whoever was killed meanwhile is passed over."""
        while self._waiting:
            cell = self._waiting.pop(0)
            if cell.poll() is None:
                yield cell
            else:
                cell.end()
