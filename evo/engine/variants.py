"""How an accepted proposal becomes a variant: a commit, and what is known of it from the start."""

from __future__ import annotations

from datetime import datetime

from evo.engine.bulletin import Rooms
from evo.nouns import Brief, Outcome, Proposal, Variant
from evo.operators.screening import count_lines, fingerprint
from evo.patch import diff
from evo.population.message import commit_message


def baseline(rooms: Rooms, brief: Brief) -> tuple[Proposal, str]:
    """The file as it was when the run began, proposed, and its fingerprint."""
    proposal = Proposal(
        id=brief.id,
        operator=brief.operator,
        parents=(),
        outcome=Outcome.ACCEPTED,
        title="Baseline",
        rationale=f"{rooms.task.editable} as it was when the run began.",
        source=rooms.baseline,
    )
    return proposal, fingerprint(rooms.baseline)


def commit(rooms: Rooms, proposal: Proposal, mark: str, number: int, now: datetime) -> Variant:
    """Commits a proposal.

    Args:
        rooms: The engine's stores.
        proposal: An accepted one.
        mark: The fingerprint of its source.
        number: The variant's id.
        now: The time, UTC.
    """
    assert proposal.source is not None
    parents = [rooms.shelf.variant(parent) for parent in proposal.parents]
    before = rooms.shelf.source(parents[0].id) if parents else proposal.source
    message = commit_message(
        title=proposal.title,
        rationale=proposal.rationale,
        variant=number,
        operator=proposal.operator,
        parents=proposal.parents,
        run=rooms.settings.run,
        subject=proposal.subject,
        role=proposal.role,
        model=proposal.model,
    )
    written = rooms.population.commit(
        proposal.source,
        parents=[parent.commit for parent in parents],
        message=message,
        when=now,
        variant=number,
    )
    return Variant(
        id=number,
        commit=written,
        parents=proposal.parents,
        operator=proposal.operator,
        title=proposal.title,
        rationale=proposal.rationale,
        diff=diff(before, proposal.source, rooms.task.editable),
        fingerprint=mark,
        lines=count_lines(proposal.source),
        proposal=proposal.id,
        created_at=now,
        subject=proposal.subject,
        role=proposal.role,
        model=proposal.model,
    )
