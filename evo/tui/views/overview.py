"""What the overview says: whether the night was worth it, what runs, and what is wrong."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from itertools import takewhile

from evo.engine.heartbeat import Heartbeat, Phase
from evo.nouns import Favour, utc
from evo.report import words
from evo.tui.views.place import LITTLE_MB, Pulse
from evo.tui.views.plotting import NAME_CELLS, Layer, Piece, fitted
from evo.tui.views.snapshot import Row, Snapshot

SILENT_SECONDS = 20.0
"""A heart that beats every second and was silent for so long is in trouble."""
OLD_SECONDS = 30.0
"""How much older than the last trial the published archive may be."""
RECENT_SECONDS = 3600.0
"""Trials an hour are counted over the last so many seconds."""
LEAST_SPAN_SECONDS = 60.0
"""In less, nobody can tell how many there will be in an hour."""
PROVING = ("population", "greedy-replicated")
"""Strategies that measure again before somebody leads."""
FAILURES_IN_A_ROW = 5
MOST_FAILURES = 5
_PREAMBLE = re.compile(r"^it ended with [^:]{1,80}: (?=\S)")


class Severity(IntEnum):
    """How loud a line of health is."""

    QUIET = 0
    GOOD = 1
    WARNING = 2
    DANGER = 3


@dataclass(frozen=True, slots=True)
class Health:
    """One thing that a person should know before all others."""

    severity: Severity
    text: str


def health(pulse: Pulse, snapshot: Snapshot | None, flag: str = "") -> Health:
    """The worst that is to be said of a run at this moment.

    Args:
        pulse: What its files say.
        snapshot: What was published.
        flag: Names the run in the commands that are suggested.
    """
    return max(_ailments(pulse, snapshot, flag), key=lambda one: one.severity)


def _ailments(pulse: Pulse, snapshot: Snapshot | None, flag: str) -> list[Health]:
    beat, found = pulse.beat, [Health(Severity.QUIET, "")]
    last = pulse.events[-1].partition("  ")[2] if pulse.events else ""
    if beat is not None and beat.phase is Phase.FAILED:
        found.append(Health(Severity.DANGER, f"THE ENGINE FAILED: {beat.message}"))
    elif beat is not None and not beat.phase.over and not pulse.alive:
        ago = words.ago(pulse.at - beat.at)
        found.append(
            Health(
                Severity.DANGER,
                f"THE ENGINE IS GONE, last seen {ago} ago; `evo run{flag}` goes on. "
                f"Its last words: {' '.join(last.split()) or 'none'}",
            )
        )
    elif beat is not None and beat.phase is Phase.STOPPED:
        found.append(Health(Severity.GOOD, f"Stopped: {beat.message}. `evo run{flag}` goes on"))
    elif beat is not None and pulse.at - beat.at > SILENT_SECONDS:
        ago = words.ago(pulse.at - beat.at)
        found.append(Health(Severity.WARNING, f"The engine has been silent for {ago}"))
    elif beat is not None and beat.phase is Phase.PAUSED:
        until = f"until `evo resume{flag}`"
        found.append(Health(Severity.WARNING, f"Paused: no new trial is started {until}"))
    elif beat is not None and beat.phase is Phase.FINISHING:
        found.append(Health(Severity.WARNING, f"Finishing the running trials: {beat.message}"))
    if pulse.alive and pulse.free_mb < LITTLE_MB:
        size = words.megabytes(pulse.free_mb)
        found.append(Health(Severity.DANGER, f"THE DISK IS NEARLY FULL: {size} are left"))
    if snapshot is not None and (streak := failures_in_a_row(snapshot)) >= FAILURES_IN_A_ROW:
        last_one = next((one for one in snapshot.failures if one.trial is not None), None)
        why = f"; trial {last_one.trial} {last_one.status}: {last_one.cause}" if last_one else ""
        found.append(Health(Severity.WARNING, f"The last {streak} trials have no score{why}"))
    return found


def failures_in_a_row(snapshot: Snapshot) -> int:
    """How many of the last trials came to no score, one after another."""
    for count, point in enumerate(reversed(snapshot.points)):
        if point.score is not None:
            return count
    return len(snapshot.points)


@dataclass(frozen=True, slots=True)
class Best:
    """The champion against the baseline."""

    row: Row
    error: float | None
    gain: float | None
    gain_error: float | None
    share: float | None
    """The gain as a share of the baseline's score."""


def best(snapshot: Snapshot) -> Best | None:
    """The champion; None before the baseline has a score."""
    row = None if snapshot.champion is None else snapshot.row(snapshot.champion)
    baseline = snapshot.row(0)
    if row is None or baseline is None:
        return None
    gain = snapshot.gain(row) if row.id else None
    share = gain / abs(baseline.score) if gain is not None and baseline.score else None
    return Best(row, snapshot.error(row), gain, snapshot.gain_error(row), share)


@dataclass(frozen=True, slots=True)
class Contender:
    """Who has the best mean without being the champion."""

    row: Row
    gain: float
    """Over the champion, in the metric."""
    error: float | None
    """Standard error of that; None before anything was measured twice."""
    awaited: bool
    """Whether it leads once its gain is proven; else that may still be luck."""


def contender(snapshot: Snapshot) -> Contender | None:
    """Who has a better mean than the champion, but isn't proven to be better; nobody who is banned.

    The best of them is awaited where the strategy measures it again, it is kept, and its gain is
    larger than two standard errors.
    """
    leader = None if snapshot.champion is None else snapshot.row(snapshot.champion)
    if leader is None or leader.score is None:
        return None
    loss = snapshot.facts.direction.loss
    scored = [
        (loss(row.score), row) for row in snapshot.rows
        if row.score is not None and row.favour != Favour.BANNED
    ]  # fmt: skip
    least, row = min(scored, key=lambda one: one[0], default=(math.inf, leader))
    gain = loss(leader.score) - least
    if gain <= 0:
        return None
    errors = (snapshot.error(row), snapshot.error(leader))
    known = [one for one in errors if one is not None]
    error = math.hypot(*known) if len(known) == len(errors) else None
    proves = snapshot.facts.strategy in PROVING and row.kept
    return Contender(row, gain, error, proves and error is not None and gain > 2 * error)


def last_moment(pulse: Pulse, snapshot: Snapshot) -> float:
    """Now for an engine at work, else when its last trial ended; Unix seconds."""
    ended = snapshot.points[-1].finished_at if snapshot.points else None
    if pulse.alive or ended is None:
        return pulse.at
    return ended.replace(tzinfo=UTC).timestamp()


def gain_since(snapshot: Snapshot, seconds: float, now: float) -> float | None:
    """How much better the champion is than the one of some time ago.

    Args:
        snapshot: What was published.
        seconds: How long ago.
        now: Unix seconds.

    Returns:
        The gain in the metric, 0 for the same champion; None if the run is younger than that.
    """
    then = utc(max(now - seconds, 0.0))
    before = [one for one in snapshot.promotions if one.at <= then]
    if not before:
        return None
    way, last = snapshot.facts.direction, snapshot.promotions[-1]
    if before[-1].variant == last.variant:
        return 0.0
    old, new = snapshot.row(before[-1].variant), snapshot.row(last.variant)
    if old is None or new is None or old.score is None or new.score is None:
        return None
    return way.loss(old.score) - way.loss(new.score)


def age(snapshot: Snapshot, now: float) -> float:
    """Seconds since the baseline was measured."""
    if not snapshot.promotions:
        return 0.0
    return now - snapshot.promotions[0].at.replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a run goes on, and what it uses."""

    finished: int
    """Trials of this session where those are limited, else of the whole run."""
    scored: int
    """Of these."""
    wanted: int | None
    """The limit; None without one."""
    living: int | None
    """Variants that may become parents; None without an engine."""
    refused: int
    per_hour: float | None
    """Over the last hour, or since the engine began."""
    busy: float | None
    """Share of the slots' time in which a trial ran, since the engine began."""
    seconds: float
    """Since the engine began; 0 without one."""
    left: float | None
    """Seconds until it stops; None where nobody knows, and while it is paused."""
    tokens_per_second: float | None
    """Median of the last scored trials."""
    spent_usd: float
    """On models; of this session where that is limited, else of the whole run."""
    limit_usd: float | None


def pace(pulse: Pulse, snapshot: Snapshot) -> Pace:
    """How quickly a run goes on."""
    beat, working = pulse.beat, pulse.beat if pulse.alive else None
    refused = sum(count for outcome, count in snapshot.outcomes.items() if outcome != "accepted")
    finished, scored, wanted = _trials(working, snapshot)
    limit = working.limit_usd if working else None
    paused = working is not None and working.phase is Phase.PAUSED
    return Pace(
        finished=finished,
        scored=scored,
        wanted=wanted,
        living=working.kept if working else None,
        refused=refused,
        per_hour=_per_hour(pulse, snapshot),
        busy=beat.busy if beat else None,
        seconds=beat.seconds if beat else 0.0,
        left=working.seconds_left if working and not paused else None,
        tokens_per_second=snapshot.tokens_per_second,
        spent_usd=working.spent_usd if working and limit is not None else snapshot.spend.usd,
        limit_usd=limit,
    )


def _trials(beat: Heartbeat | None, snapshot: Snapshot) -> tuple[int, int, int | None]:
    """Finished and scored ones, and how many there may be.

    A limit is one of the session, as the engine counts: it says nothing of earlier trials.
    """
    if beat is not None and beat.trials_wanted is not None:
        return beat.trials_finished, beat.trials_scored, beat.trials_wanted
    scored = sum(point.score is not None for point in snapshot.points)
    return len(snapshot.points), scored, None


def _per_hour(pulse: Pulse, snapshot: Snapshot) -> float | None:
    beat = pulse.beat
    if beat is None or not pulse.alive or beat.seconds < LEAST_SPAN_SECONDS:
        return None
    span = min(beat.seconds, RECENT_SECONDS)
    since = utc(beat.at - span)
    ends = (point.finished_at for point in reversed(snapshot.points) if point.finished_at)
    recent = sum(1 for _ in takewhile(lambda end: end >= since, ends))
    return recent * 3600 / span if recent else None


def progress(snapshot: Snapshot, *, few: bool) -> list[Layer]:
    """The progress plot: trials in the order in which they ended, and who led when.

    Args:
        snapshot: What was published.
        few: Whether there is room for a whole cell a trial.
    """
    ignored: tuple[list[float], list[float]] = ([], [])
    kept: tuple[list[float], list[float]] = ([], [])
    for number, point in enumerate(snapshot.points, 1):
        if point.score is not None:
            xs, ys = kept if point.kept else ignored
            xs.append(number)
            ys.append(point.score)
    leads = snapshot.promotions
    line: tuple[list[float], list[float]] = ([], [])
    for promotion in leads:
        line[0].append(_trials_before(snapshot, promotion.at))
        line[1].append(promotion.mean)
    if line[0]:
        line[0].append(max(len(snapshot.points), line[0][-1]))
        line[1].append(line[1][-1])
    return [
        Layer(*ignored, "ignored", mark="∙" if few else ""),
        Layer(*line, "line", steps=True),
        Layer(*kept, "kept", mark="•" if few else ""),
    ]


def _trials_before(snapshot: Snapshot, at: datetime) -> int:
    ends = [point.finished_at or at for point in snapshot.points]
    return max(bisect_right(ends, at), 1)


def side(pulse: Pulse, snapshot: Snapshot) -> list[list[Piece]]:
    """What stands beside the plot where there is room: the champion's way, and what waits."""
    lines: list[list[Piece]] = [[("What brought it", "dim")]]
    path = [row for row in map(snapshot.row, snapshot.path) if row is not None]
    for row in path[-8:]:
        style = "good" if row.better else "bad" if row.better is not None else "dim"
        shown = words.gain(row.effect, row.better) if row.parents else words.score(row.score)
        name = "champion" if row.id == snapshot.champion else "title"
        lines.append([(f"v{row.id:<5}", name), (f"{shown:>9}  ", style), (row.title, "")])
    queued = snapshot.queued if pulse.alive else ()
    if queued:
        lines += [[], [("Next", "dim")]]
        for _, variant, purpose in queued[:5]:
            waiting = snapshot.row(variant)
            again = "again: " if purpose == "replicate" else ""
            title = waiting.title if waiting else ""
            lines.append([(f"v{variant:<5} ", "title"), (again, "info"), (title, "")])
    lines.append([])
    return lines


def failures(snapshot: Snapshot, width: int) -> list[list[Piece]]:
    """The last five that came to nothing, and why; nothing where all have a score."""
    if not snapshot.failures:
        return []
    room = max(width // 3, 16)
    lines: list[list[Piece]] = [[("Failed last", "dim")]]
    for one in snapshot.failures[:MOST_FAILURES]:
        lines.append(
            [
                (fitted(one.name, NAME_CELLS), "title"),
                (f"{fitted(one.title, room)}  ", ""),
                (f"{one.status.replace('_', ' ')}  ", "bad"),
                (gist(one.cause), "dim"),
            ]
        )
    return lines


def history(snapshot: Snapshot, most: int = 40) -> tuple[str, ...]:
    """What happened last, the newest at the end, as an engine's log says it.

    For archives that came without one.
    """
    found: list[tuple[datetime, str, str]] = list(snapshot.events)
    causes = {one.trial: f"{one.status}: {one.cause}" for one in snapshot.failures}
    for point in snapshot.points[-most:]:
        row = snapshot.row(point.variant)
        if point.finished_at is not None and row is not None:
            score = words.score(point.score)
            came = causes.get(point.trial, row.status) if point.score is None else score
            text = f"{point.trial:>4}  v{point.variant:<4} {came}  {row.title}"
            found.append((point.finished_at, "trial", text))
    for one in snapshot.promotions[-most:]:
        row = snapshot.row(one.variant)
        if row is not None:
            text = f"variant {one.variant} leads with {words.score(one.mean)}: {row.title}"
            found.append((one.at, "champion", text))
    for asked in snapshot.answered:
        found.append((asked.asked_at, "request", f"{asked.verb} by {asked.who}: {asked.outcome}"))
    found.sort(key=lambda one: one[0])
    return tuple(f"{at:%Y-%m-%d %H:%M:%S}  {kind:<9} {text}" for at, kind, text in found[-most:])


def gist(cause: str) -> str:
    """What is worth reading of a cause where there is little room."""
    return _PREAMBLE.sub("", cause)


def gist_of_event(said: str) -> str:
    """The same of a line of the log, which has a cause at its end."""
    head, colon, cause = said.partition(": ")
    return f"{head}{colon}{gist(cause)}"
