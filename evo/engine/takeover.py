"""What an engine takes over from the one before it: what is known, and what is left to do."""

from __future__ import annotations

from dataclasses import replace

from evo.engine.bulletin import Counts, Rooms
from evo.engine.inbox import Verb
from evo.engine.reception import HUMAN, Reception
from evo.engine.trials import Trials
from evo.nouns import Purpose, Status, Trial, Variant, Wish


def take_over(rooms: Rooms, trials: Trials, counts: Counts, reception: Reception) -> Trial | None:
    """Tells everybody what the archive knows, in the order in which it happened, and queues what
    was in flight or was lost; the baseline's last trial, if there was one.

    Args:
        rooms: The engine's stores.
        trials: Where trials are queued.
        counts: Goes on from the ids that were given out.
        reception: Which ideas were answered.
    """
    made = {variant.proposal: variant for variant in rooms.archive.variants()}
    for variant in made.values():
        rooms.shelf.add(variant)
        rooms.known[variant.fingerprint] = variant.id
    ids = rooms.archive.next_ids()
    counts.begin_at(ids.proposal, ids.variant, ids.trial)
    given_up = {asked.get("trial") for asked in rooms.archive.requests(Verb.KILL)}
    baseline, due = None, dict[int, Variant]()
    for record in rooms.archive.history():
        if isinstance(record, Wish):
            rooms.search.tell(record)
            continue
        rooms.casebook.tell(record)
        rooms.search.tell(record)
        if isinstance(record, Trial):
            trials.recall(record)
            due.pop(record.variant, None)
            if is_lost(record) and str(record.id) not in given_up:
                due[record.variant] = rooms.shelf.variant(record.variant)
            baseline = record if record.variant == 0 else baseline
            continue
        counts.note(record)
        reception.answered(record)
        if record.id in made:
            variant = made[record.id]
            rooms.casebook.tell(variant)
            rooms.search.tell(variant)
            if not is_foregone(rooms, variant):
                due[variant.id] = variant
    for trial in rooms.archive.unfinished_trials():
        trials.enqueue(replace(trial, attempt=1, measurement=None, started_at=None))
        due.pop(trial.variant, None)
    # The engine was killed between a variant and its first trial, or that trial couldn't be run.
    for variant in due.values():
        trials.queue(variant.id, Purpose.FIRST, front=variant.operator == HUMAN)
    return baseline


def is_lost(trial: Trial) -> bool:
    """Whether a first trial ended before it could say anything of its variant."""
    assert trial.measurement is not None
    is_broken = trial.measurement.status is Status.INFRASTRUCTURE
    return is_broken and trial.purpose is Purpose.FIRST


def is_foregone(rooms: Rooms, variant: Variant) -> bool:
    """Whether a variant that the search was just told gets no trial; what people hand in does."""
    return variant.operator != HUMAN and rooms.search.foregoes(variant.id)
