"""The shelf: what operators may read of the population while the engine goes on writing it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from evo.nouns import Variant
from evo.patch import FounderPatch
from evo.population.population import Population

KEPT_SOURCES = 256


class PopulationShelf:
    """Sources and kinship of the variants so far; safe to read from several threads.

    Args:
        population: The git repository.
        founders: The gene pool by name.
    """

    def __init__(self, population: Population, founders: Mapping[str, FounderPatch]) -> None:
        self._population, self._founders = population, founders
        self._variants: dict[int, Variant] = {}
        self._submissions: dict[str, tuple[str, str]] = {}
        self._hints: list[str] = []
        self._sources: OrderedDict[int, str] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, variant: Variant, source: str | None = None) -> None:
        """A new variant; its source may be given to spare a look into git."""
        with self._lock:
            self._variants[variant.id] = variant
            if source is not None:
                self._keep(variant.id, source)

    def submit(self, name: str, title: str, text: str) -> None:
        """A person's patch or file, to be asked for by its name."""
        with self._lock:
            self._submissions[name] = (title, text)

    def hint(self, text: str) -> None:
        """Something that a person wants the operators to know from now on."""
        with self._lock:
            if text not in self._hints:
                self._hints.append(text)

    def hints(self) -> tuple[str, ...]:
        """What people want the operators to know, oldest first."""
        with self._lock:
            return tuple(self._hints)

    def variant(self, variant_id: int) -> Variant:
        return self._variants[variant_id]

    def source(self, variant_id: int) -> str:
        with self._lock:
            if variant_id not in self._sources:
                self._keep(variant_id, self._population.source(self._variants[variant_id].commit))
            self._sources.move_to_end(variant_id)
            return self._sources[variant_id]

    def parents(self, variant_id: int) -> tuple[int, ...]:
        return self._variants[variant_id].parents

    def title(self, variant_id: int) -> str:
        return self._variants[variant_id].title

    def common_ancestor(self, a: int, b: int) -> int:
        """The latest variant that both descend from (or are); the baseline if nothing later."""
        return max(self._lineage(a) & self._lineage(b), default=0)

    def founder(self, name: str) -> FounderPatch:
        return self._founders[name]

    def submission(self, name: str) -> tuple[str, str]:
        """Title and text of what a person handed in."""
        return self._submissions[name]

    def _lineage(self, variant_id: int) -> set[int]:
        found, front = {variant_id}, [variant_id]
        while front:
            for parent in self._variants[front.pop()].parents:
                if parent not in found:
                    found.add(parent)
                    front.append(parent)
        return found

    def _keep(self, variant_id: int, source: str) -> None:
        self._sources[variant_id] = source
        if len(self._sources) > KEPT_SOURCES:
            self._sources.popitem(last=False)
