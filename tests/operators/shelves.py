"""A shelf of plain dictionaries: a small population to try operators on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evo.patch import FounderPatch

BASELINE = (Path(__file__).parent.parent / "fixtures" / "two_columns.py").read_text()


def changed(text: str, old: str, new: str) -> str:
    """The text with one thing in it replaced."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


DEEPER = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (3, 8)")
FASTER = changed(BASELINE, "EMBED_LR = (0.2, 0.3)", "EMBED_LR = (0.4, 0.3)")


@dataclass(frozen=True)
class DictShelf:
    """Variants by id: 0 the baseline, 1 and 2 its children with one change each."""

    sources: dict[int, str] = field(default_factory=lambda: {0: BASELINE, 1: DEEPER, 2: FASTER})
    kin: dict[int, tuple[int, ...]] = field(default_factory=lambda: {0: (), 1: (0,), 2: (0,)})
    founders: dict[str, FounderPatch] = field(default_factory=dict)
    submissions: dict[str, tuple[str, str]] = field(default_factory=dict)

    def source(self, variant_id: int) -> str:
        return self.sources[variant_id]

    def common_ancestor(self, a: int, b: int) -> int:
        return max(self._lineage(a) & self._lineage(b), default=0)

    def parents(self, variant_id: int) -> tuple[int, ...]:
        return self.kin[variant_id]

    def title(self, variant_id: int) -> str:
        return f"title {variant_id}"

    def founder(self, name: str) -> FounderPatch:
        return self.founders[name]

    def submission(self, name: str) -> tuple[str, str]:
        return self.submissions[name]

    def _lineage(self, variant_id: int) -> set[int]:
        return {variant_id}.union(*(self._lineage(parent) for parent in self.kin[variant_id]))
