"""Heredity: what a merge of variants carries, of what each of them carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Heredity(Generic[T]):
    """The pedigree, and what each variant carries.

    Args:
        carried: By variant; filled by `add`.
    """

    def __init__(self, carried: dict[int, frozenset[T]]) -> None:
        self._carried = carried
        self._line: dict[int, frozenset[int]] = {}  # all that a variant descends from, and itself

    def add(self, variant: int, parents: Sequence[int], carried: frozenset[T]) -> None:
        """A new variant."""
        self._carried[variant] = carried
        before = (self._line[parent] for parent in parents)
        self._line[variant] = frozenset({variant}).union(*before)

    def joined(self, parents: Sequence[int]) -> frozenset[T]:
        """What a merge of variants carries, one after the other, as git merges three ways: what
        both have, and what either has added to their latest common ancestor. So what one of them
        has taken out stays out."""
        ours, line = frozenset[T](), frozenset[int]()
        for one in parents:
            common, theirs = line & self._line[one], self._carried[one]
            base = self._carried[max(common)] if common else frozenset[T]()
            ours = (ours & theirs) | (ours - base) | (theirs - base)
            line |= self._line[one]
        return ours
