"""A simulated search on tape: everything that its strategy was asked and told, in turn."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from evo.nouns import Brief, Direction, Proposal, Standing, Trial, Variant
from evo.search.breeding import Plan
from evo.search.rivals import STRATEGIES
from evo.search.search import Search
from evo.simulate.landscape import Genes, Kind, Landscape
from evo.simulate.simulation import Simulation

PLAN = Plan(Direction.MINIMISE, Landscape(Kind.DENSE, 0).founders, 4, 8, 2)


@dataclass
class Tape:
    """A strategy, with notes of what passes through it; the rest is the strategy's."""

    search: Search
    genes: dict[int, Genes] = field(default_factory=dict)
    """By variant; of the simulation that it is played in."""
    landscape: Landscape = field(default_factory=lambda: Landscape(Kind.DENSE, 0))
    briefs: list[Brief] = field(default_factory=list)
    records: list[Proposal | Variant | Trial] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)

    def ask(self, brief: int, chance: random.Random) -> Brief | None:
        asked = self.search.ask(brief, chance)
        self.briefs += [] if asked is None else [asked]
        return asked

    def tell(self, record: Proposal | Variant | Trial) -> Standing:
        self.records.append(record)
        self.standings.append(self.search.tell(record))
        return self.standings[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.search, name)

    def truth(self, variant: int) -> float:
        return self.landscape.truth(self.genes[variant])

    @property
    def scored(self) -> set[int]:
        """Variants with a score."""
        trials = [one for one in self.records if isinstance(one, Trial)]
        return {one.variant for one in trials if one.score is not None}


def explore(strategy: str, trials: float, *, seed: int = 0, noise: float = 0.0) -> Tape:
    """Plays a strategy on a dense landscape, where an idea moves a loss by about 2."""
    tape = Tape(STRATEGIES[strategy](PLAN), landscape=Landscape(Kind.DENSE, seed))
    simulation = Simulation(cast(Search, tape), tape.landscape, noise, seed=seed)
    simulation.run(trials)
    tape.genes = simulation.genes
    return tape


def variant_of(number: int, brief: Brief) -> Variant:
    """What a brief might have led to."""
    return Variant(
        id=number, commit=f"{number:040x}", parents=brief.parents, operator=brief.operator,
        title="", rationale="", diff="", fingerprint=str(number), lines=10, proposal=brief.id,
        created_at=datetime(2026, 1, 1), subject=brief.subject,
    )  # fmt: skip
