"""Records to fill an archive with: one of each by hand, and any by hypothesis."""

from datetime import datetime

from hypothesis import strategies as st

from evo.archive.archive import RunRecord
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
    Trial,
    Variant,
    Verdict,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)
RUN = RunRecord(
    name="main",
    seed=1,
    strategy="population",
    editable="train.py",
    recipe=Recipe.ARENA,
    metric="val_bpb",
    direction=Direction.MINIMISE,
    budget_seconds=10.0,
    clock=Clock.CPU,
    scale=1.0,
    device="cpu",
    data_name="embedded",
    data_sha="ab",
    settings={"seed": 1, "task": {"scale": 1.0}},
    evo_version="0",
    created_at=NOW,
)

# DuckDB, like C, ends a text at NUL in places; evo never stores one (see evo.text).
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**40)
resources = st.builds(
    Resources,
    **{
        name: counts if name in ("tokens", "steps", "parameters") else numbers
        for name in Resources.__slots__
    },
)
points = st.builds(CurvePoint, numbers, st.integers(0, 2**32 - 1), numbers)


def _ordered(found: list[CurvePoint]) -> tuple[CurvePoint, ...]:
    return tuple(sorted(found, key=lambda point: (point.elapsed_seconds, point.step, point.loss)))


verdicts = st.builds(
    Verdict, st.booleans(), texts, numbers, numbers, numbers, numbers, numbers, counts
)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    status = draw(st.sampled_from([one for one in Status if one.finished]))
    return Measurement(
        status=status,
        score=draw(numbers) if status is Status.SCORED else None,
        cause=draw(texts),
        resources=draw(resources),
        curve=draw(st.lists(points, max_size=4, unique_by=lambda p: p.step).map(_ordered)),
        device="cpu",
        split="search",
        data_sha=draw(texts),
        verdict=draw(st.none() | verdicts),
        holdout_score=draw(st.none() | numbers),
        sandbox=draw(st.sampled_from(["bubblewrap", "open", ""])),
    )


def proposal(number: int, outcome: Outcome = Outcome.ACCEPTED, **more: object) -> Proposal:
    fields: dict[str, object] = {
        "id": number,
        "operator": "tune",
        "parents": (number - 1,) if number else (),
        "outcome": outcome,
        "title": f"proposal {number}",
    }
    return Proposal(**(fields | more))  # type: ignore[arg-type]


def variant(number: int, parents: tuple[int, ...] | None = None, **more: object) -> Variant:
    fields: dict[str, object] = {
        "id": number,
        "commit": f"{number:040x}",
        "parents": ((number - 1,) if number else ()) if parents is None else parents,
        "operator": "tune" if number else "baseline",
        "title": f"variant {number}",
        "rationale": "why",
        "diff": "-a\n+b\n",
        "fingerprint": f"f{number}",
        "lines": 10,
        "proposal": number,
        "created_at": NOW,
    }
    return Variant(**(fields | more))  # type: ignore[arg-type]


def trial(number: int, of: int, score: float | None, purpose: Purpose = Purpose.FIRST) -> Trial:
    if score is None:
        measurement = Measurement(Status.CRASHED, cause="it broke")
    else:
        measurement = Measurement(
            Status.SCORED,
            score,
            resources=Resources(training_seconds=10.0, tokens=1000, steps=5),
            curve=(CurvePoint(1.0, 1, 3.0), CurvePoint(2.0, 2, 2.5)),
        )
    return Trial(
        id=number,
        variant=of,
        seed=7,
        purpose=purpose,
        budget_seconds=10.0,
        scale=1.0,
        measurement=measurement,
        started_at=NOW,
        finished_at=NOW,
    )
