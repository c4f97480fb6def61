"""How long it takes to put a prompt together from the history of a large population.

    python benchmarks/prompts.py

The baseline is the real train.py; each variant is a child of a random earlier one and has a trial
with a curve, and for each there is a proposal that was refused. What is timed is all that happens
between a brief and the request: asking the casebook, and writing the prompt within its budget.
"""

from __future__ import annotations

import random
import statistics
import time
from datetime import datetime
from pathlib import Path

from evo.engine.casebook import EngineCasebook
from evo.models.model import count_tokens
from evo.models.purse import Purse
from evo.models.roster import Roster
from evo.nouns import (
    Clock,
    CurvePoint,
    Direction,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Recipe,
    Resources,
    Status,
    Task,
    Trial,
    Variant,
)  # fmt: skip
from evo.operators.authoring import Author
from evo.operators.prompts import Situation, compose
from evo.patch import diff
from evo.program import read_program

ROOT = Path(__file__).parent.parent
ROUNDS = 30


def history(variants: int) -> EngineCasebook:
    """A casebook that was told of so many variants, and of a refused proposal for each."""
    chance, source = random.Random(0), (ROOT / "train.py").read_text()
    lines = [n for n, line in enumerate(source.splitlines()) if line[:1].isupper() and "=" in line]
    book = EngineCasebook(Direction.MINIMISE, Path("/nonexistent"), {}, lambda variant: source)
    curve = tuple(CurvePoint(3.0 * n, 10 * n, 6.0 - n / 50) for n in range(1, 101))
    for number in range(variants):
        parents = (chance.randrange(number),) if number else ()
        changed = source.splitlines(keepends=True)
        changed[chance.choice(lines)] = f"MOVED = {number}  # a line of its own\n"
        change = diff(source, "".join(changed)) if number else ""
        title = f"Move a constant to {number}, because of what was seen"
        book.tell(Proposal(2 * number, "mutate", parents, Outcome.ACCEPTED, title, "Why. " * 30))
        book.tell(
            Variant(number, "", parents, "mutate", title, "Why. " * 30, change, str(number), 250,
                    2 * number, datetime(2026, 1, 1))
        )  # fmt: skip
        measured = Measurement(
            Status.SCORED, 2.0 - chance.random() / 10, curve=curve,
            resources=Resources(training_seconds=300.0, tokens=10**8, steps=1000),
        )  # fmt: skip
        book.tell(Trial(number, number, 0, Purpose.FIRST, 300.0, 1.0, measurement=measured))
        refused = Proposal(
            2 * number + 1, "mutate", (chance.randrange(number + 1),), Outcome.MALFORMED, title,
            cause="block 1 isn't in the file",
        )  # fmt: skip
        book.tell(refused)
    return book


def main() -> None:
    task = Task("train.py", Recipe.ARENA, "val_bpb", Direction.MINIMISE, 300.0, Clock.WALL)
    situation = Situation(task, "a GPU")
    skill, source = read_program(ROOT / "program.md"), (ROOT / "train.py").read_text()
    roster = Roster((), purse=Purse(None), on_call=lambda call: None, clock=time.time)
    print("| variants | prompt ms (median of 30) | most | tokens |")
    print("|---:|---:|---:|---:|")
    for variants in (10, 100, 1_000):
        author = Author(roster, history(variants), lambda: skill, situation)
        chance, took, tokens = random.Random(1), list[float](), 0
        for _ in range(ROUNDS):
            began = time.perf_counter()
            dossier = author.dossier(chance.randrange(variants), source)
            messages = compose("mutate", "architect", skill, situation, dossier)
            took.append(1000 * (time.perf_counter() - began))
            tokens = max(tokens, sum(count_tokens(message.text) for message in messages))
        print(f"| {variants:,} | {statistics.median(took):.1f} | {max(took):.1f} | {tokens:,} |")


if __name__ == "__main__":
    main()
