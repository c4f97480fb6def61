"""Operators that ask scripted models about a small population with a real casebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from evo.engine.casebook import EngineCasebook
from evo.models.model import Message
from evo.models.purse import Purse
from evo.models.roster import Conduct, Member, Roster
from evo.models.scripted_model import Answer, ScriptedModel
from evo.nouns import (
    Call,
    Direction,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Status,
    Trial,
    Variant,
)
from evo.operators.authoring import Author
from evo.operators.screening import fingerprint
from evo.patch import diff
from evo.program import parse_program
from tests.operators.cases import SITUATION
from tests.operators.shelves import BASELINE, DictShelf

SKILL = parse_program("Lower is better.\n\n## Role: debugger\n\nRead the error.\n")
NOW = datetime(2026, 1, 1)


@dataclass
class Office:
    """A population of a baseline and what is told of it, with a model that answers in order.

    Args:
        folder: Of the run, for the logs of trials.
        answers: Of the model.
    """

    folder: Path
    answers: Sequence[Answer]
    shelf: DictShelf = field(default_factory=lambda: DictShelf({0: BASELINE}, {0: ()}))
    talks: list[list[Message]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.book = EngineCasebook(
            Direction.MINIMISE,
            self.folder / "trials",
            self.known,
            self.shelf.source,
            lambda: ["Be quick."],
        )
        left = iter(self.answers)

        def script(messages: Sequence[Message]) -> Answer:
            self.talks.append(list(messages))
            return next(left)

        roster = Roster(
            [Member(ScriptedModel("one", script, usd_per_call=0.25))],
            purse=Purse(None),
            on_call=self.calls.append,
            clock=lambda: 0.0,
            conduct=Conduct(first_wait_seconds=0.001),
        )
        self.author = Author(roster, self.book, lambda: SKILL, SITUATION)
        self.grow(0, (), BASELINE, 2.0)

    def grow(
        self,
        number: int,
        parents: tuple[int, ...],
        source: str,
        score: float | None,
        *,
        cause: str = "NameError: name 'x' is not defined",
        operator: str = "mutate",
    ) -> None:
        """A variant, and its first trial."""
        self.shelf.sources[number], self.shelf.kin[number] = source, parents
        self.known[fingerprint(source)] = number
        change = diff(self.shelf.sources[parents[0]], source) if parents else ""
        title = f"title {number}"
        self.book.tell(
            Proposal(number, operator, parents, Outcome.ACCEPTED, title, f"why {number}")
        )
        self.book.tell(
            Variant(number, "", parents, operator, title, f"why {number}", change,
                    fingerprint(source), 1, number, NOW)
        )  # fmt: skip
        measured = Measurement(Status.CRASHED, cause=cause)
        if score is not None:
            measured = Measurement(Status.SCORED, score)
        self.measure(number, measured)

    def measure(self, variant: int, measurement: Measurement, trial: int | None = None) -> None:
        number = variant if trial is None else trial
        self.book.tell(Trial(number, variant, 0, Purpose.FIRST, 1.0, 1.0, measurement=measurement))

    def refuse(self, proposal: Proposal) -> None:
        """A proposal that led to no variant."""
        self.book.tell(replace(proposal))


def edit(old: str, new: str, title: str = "A change") -> str:
    """An answer with one block."""
    block = f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"
    return f"Title: {title}\nRationale: Because.\n\n{block}\n"
