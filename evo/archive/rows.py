"""Nouns as rows of the archive, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from evo.nouns import (
    Call,
    CurvePoint,
    Measurement,
    Outcome,
    Proposal,
    Purpose,
    Resources,
    Standing,
    Status,
    Trial,
    Variant,
    Verdict,
)

_VERDICT = tuple(field.name for field in fields(Verdict))
_RESOURCES = tuple(field.name for field in fields(Resources))
_PROPOSAL = tuple(field.name for field in fields(Proposal) if field.name != "source")
_VARIANT = tuple(field.name for field in fields(Variant) if field.name != "parents")


def of_proposal(proposal: Proposal) -> dict[str, Any]:
    values = {name: getattr(proposal, name) for name in _PROPOSAL}
    return values | {"outcome": str(proposal.outcome), "parents": list(proposal.parents)}


def to_proposal(row: Mapping[str, Any]) -> Proposal:
    """A proposal without its source, which is in git."""
    values = {name: row[name] for name in _PROPOSAL}
    values |= {"outcome": Outcome(row["outcome"]), "parents": tuple(row["parents"])}
    values["cost_usd"] = values["cost_usd"] or 0.0  # NULL in a row older than the column
    return Proposal(**values)


def of_call(call: Call) -> dict[str, Any]:
    values = {field.name: getattr(call, field.name) for field in fields(Call)}
    return values | {"outcome": str(call.outcome)}


def of_variant(variant: Variant) -> dict[str, Any]:
    return {name: getattr(variant, name) for name in _VARIANT}


def to_variant(row: Mapping[str, Any]) -> Variant:
    values = {name: row[name] for name in _VARIANT}
    return Variant(parents=tuple(row["parents"]), **values)


def of_queued(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.id,
        "variant": trial.variant,
        "seed": trial.seed,
        "purpose": str(trial.purpose),
        "budget_seconds": trial.budget_seconds,
        "scale": trial.scale,
        "attempt": trial.attempt,
        "status": str(Status.QUEUED),
    }


def of_finished(trial: Trial, standing: Standing) -> dict[str, Any]:
    """What becomes known at a trial's end."""
    measurement = trial.measurement
    assert measurement is not None
    return {
        "status": str(measurement.status),
        "score": measurement.score,
        "standing": str(standing),
        "cause": measurement.cause,
        "device": measurement.device,
        "split": measurement.split,
        "data_sha": measurement.data_sha,
        "sandbox": measurement.sandbox,
        "attempt": trial.attempt,
        "started_at": trial.started_at,
        "finished_at": trial.finished_at,
        "holdout_score": measurement.holdout_score,
        **{f"audit_{name}": getattr(measurement.verdict, name, None) for name in _VERDICT},
        **{name: getattr(measurement.resources, name) for name in _RESOURCES},
    }


def to_trial(row: Mapping[str, Any], curve: Iterable[Mapping[str, Any]]) -> Trial:
    status = Status(row["status"])
    measurement = None
    if status.finished:
        measurement = Measurement(
            status=status,
            score=row["score"],
            cause=row["cause"],
            resources=Resources(**{name: row[name] for name in _RESOURCES}),
            curve=tuple(
                CurvePoint(point["elapsed_seconds"], point["step"], point["loss"])
                for point in curve
            ),
            device=row["device"],
            split=row["split"],
            data_sha=row["data_sha"],
            verdict=_to_verdict(row),
            holdout_score=row["holdout_score"],
            sandbox=row["sandbox"] or "",
        )
    return Trial(
        id=row["id"],
        variant=row["variant"],
        seed=row["seed"],
        purpose=Purpose(row["purpose"]),
        budget_seconds=row["budget_seconds"],
        scale=row["scale"],
        attempt=row["attempt"],
        measurement=measurement,
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _to_verdict(row: Mapping[str, Any]) -> Verdict | None:
    if row["audit_honest"] is None:
        return None
    return Verdict(**{name: row[f"audit_{name}"] for name in _VERDICT})
