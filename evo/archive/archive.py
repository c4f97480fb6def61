"""The archive of a run, as the engine holds it: the one writer of run.duckdb.

Every method is one transaction. The main file changes only at `checkpoint`: between two of them
new rows go to the write-ahead log, and the file may be copied.
"""

from __future__ import annotations

import heapq
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from evo.archive import rows
from evo.archive.schema import Schema, shipped
from evo.archive.store import Store, insert, storable
from evo.nouns import (
    Call,
    Clock,
    Direction,
    Estimate,
    Event,
    Favour,
    Measurement,
    Program,
    Proposal,
    Recipe,
    Standing,
    Status,
    Trial,
    Variant,
    Wish,
)

TRIALS_AT_ONCE = 32
"""Finished trials are read in blocks: their curves can be hundreds of points each."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is evolved in a run, and how it is measured."""

    name: str
    seed: int
    strategy: str
    editable: str
    recipe: Recipe
    metric: str
    direction: Direction
    budget_seconds: float
    clock: Clock
    scale: float
    device: str
    data_name: str
    data_sha: str
    settings: dict[str, Any]
    evo_version: str
    created_at: datetime
    """UTC, naive."""


@dataclass(frozen=True, slots=True)
class NextIds:
    """The first ids that aren't taken."""

    proposal: int
    variant: int
    trial: int


class Archive:
    """The store of one run; safe to call from several threads.

    Args:
        store: Its file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        known = self.run()
        self._self_reported = known is not None and known.recipe is Recipe.COMMAND
        self._session: datetime | None = None  # when it began

    @classmethod
    def open(cls, path: Path, schema: Schema | None = None) -> Archive:
        """The archive at a path; a new one if there is none.

        Args:
            path: Of the database file; its folder is made.
            schema: The tables that it shall have; None is what this evo knows.

        Raises:
            RunHeldError: Another process has it open.
            ArchiveError: It is damaged, of a newer version, or can't be written.
        """
        store = Store.open(path, schema or shipped())
        try:
            return cls(store)
        except BaseException:
            store.close()
            raise

    @property
    def path(self) -> Path:
        """Of the database file."""
        return self._store.path

    def close(self) -> None:
        """Closes the file and lets others have it. Safe to call twice."""
        self._store.close()

    def checkpoint(self) -> None:
        """Brings the main file up to date; until the next one it won't change.

        Raises:
            ArchiveError: It can't be written.
        """
        self._store.checkpoint()

    # Writing

    def begin_run(self, run: RunRecord) -> None:
        values = {field: getattr(run, field) for field in run.__slots__}
        self._store.insert("runs", values | {"settings": json.dumps(run.settings)})
        self._self_reported = run.recipe is Recipe.COMMAND

    def begin_session(self, at: datetime) -> None:
        """An engine begins to work on this run."""
        values = {"started_at": at, "pid": os.getpid(), "host": socket.gethostname()}
        self._store.insert("sessions", values)
        self._session = at

    def end_session(self, at: datetime, how: str) -> None:
        """The engine that began here ends; `how` says why. Nothing happens if none did."""
        with self._store.transaction() as cursor:
            cursor.execute(
                "UPDATE sessions SET ended_at = ?, how = ? WHERE started_at = ? AND pid = ?",
                [at, storable(how), self._session, os.getpid()],
            )

    def record_program(self, program: Program, at: datetime) -> None:
        """Notes a version of program.md; nothing happens if it is known."""
        with self._store.transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO programs VALUES (?, ?, ?)",
                [program.sha, storable(program.text), at],
            )

    def record_proposal(self, proposal: Proposal, variant: Variant | None, at: datetime) -> None:
        """Notes a proposal and, if it was accepted, its variant with the edges to its parents."""
        with self._store.transaction() as cursor:
            insert(cursor, "proposals", rows.of_proposal(proposal) | {"made_at": at})
            if variant is not None:
                insert(cursor, "variants", rows.of_variant(variant))
                for position, parent in enumerate(variant.parents):
                    edge = {"variant": variant.id, "parent": parent, "position": position}
                    insert(cursor, "parents", edge)

    def record_call(self, call: Call) -> None:
        """Notes a call of a language model."""
        values = rows.of_call(call)
        with self._store.transaction() as cursor:
            row = cursor.execute("SELECT coalesce(max(id) + 1, 0) FROM llm_calls").fetchone()
            assert row is not None
            insert(cursor, "llm_calls", {"id": row[0]} | values)

    def queue_trial(self, trial: Trial) -> None:
        values = rows.of_queued(trial) | {"self_reported": self._self_reported}
        self._store.insert("trials", values)

    def start_trial(self, trial: int, at: datetime, attempt: int) -> None:
        """Notes that a queued trial runs now."""
        with self._store.transaction() as cursor:
            cursor.execute(
                "UPDATE trials SET status = ?, started_at = ?, attempt = ? WHERE id = ?",
                [str(Status.RUNNING), at, attempt, trial],
            )

    def finish_trial(self, trial: Trial, standing: Standing) -> None:
        """Notes how a trial ended, with its curve."""
        assert trial.measurement is not None
        values = rows.of_finished(trial, standing)
        names = ", ".join(f"{name} = ?" for name in values)
        curve = trial.measurement.curve
        with self._store.transaction() as cursor:
            cursor.execute(
                f"UPDATE trials SET seq = nextval('told'), {names} WHERE id = ?",
                [*map(storable, values.values()), trial.id],
            )
            if curve:
                # Columns as arrays: a row at a time would cost a millisecond each.
                columns = {
                    "step": np.array([point.step for point in curve], dtype=np.int64),
                    "elapsed": np.array([point.elapsed_seconds for point in curve]),
                    "loss": np.array([point.loss for point in curve]),
                }
                cursor.execute(
                    "INSERT INTO curves SELECT ?, unnest(?::BIGINT[]), unnest(?::DOUBLE[]), "
                    "unnest(?::DOUBLE[])",
                    [trial.id, *(column.tolist() for column in columns.values())],
                )

    def record_champion(self, variant: int, score: Estimate, at: datetime) -> None:
        """Notes a promotion; the estimate's mean is a score in the run's metric."""
        std = score.std if np.isfinite(score.std) else None
        self._store.insert(
            "champions",
            {
                "variant": variant,
                "mean": score.mean,
                "std": std,
                "trials": score.trials,
                "promoted_at": at,
            },
        )

    def record_opening(
        self, variant: int, seed: int, measurement: Measurement, who: str, at: datetime
    ) -> None:
        """Notes that somebody had a variant scored on a split that the search doesn't see."""
        self._store.insert(
            "openings",
            {
                "variant": variant,
                "split": measurement.split,
                "seed": seed,
                "status": str(measurement.status),
                "score": measurement.score,
                "cause": measurement.cause,
                "who": who,
                "opened_at": at,
            },
        )

    def record_wish(self, wish: Wish, who: str, at: datetime) -> None:
        """Notes what somebody wants of a variant from now on."""
        values = {"variant": wish.variant, "favour": str(wish.favour), "who": who, "wished_at": at}
        self._store.insert("wishes", values)

    def record_event(self, event: Event) -> None:
        self._store.insert(
            "events", {"happened_at": event.at, "kind": event.kind, "text": event.text}
        )

    def record_request(
        self,
        *,
        id: str,
        verb: str,
        arguments: dict[str, str],
        who: str,
        asked_at: datetime,
        done_at: datetime,
        outcome: str,
    ) -> None:
        """Notes what somebody asked; a request that was noted before stays as it was."""
        row = (id, verb, json.dumps(arguments), who, asked_at, done_at, outcome)
        with self._store.transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)",
                [*map(storable, row)],
            )

    # Reading

    def run(self) -> RunRecord | None:
        """The run that this archive holds; None in a new one."""
        found = self._store.select("SELECT * FROM runs")
        if not found:
            return None
        values = found[0] | {"settings": json.loads(found[0]["settings"])}
        kinds: dict[str, Callable[[str], Any]] = {
            "recipe": Recipe,
            "direction": Direction,
            "clock": Clock,
        }
        for name, kind in kinds.items():
            values[name] = kind(values[name])
        return RunRecord(**values)

    def variants(self) -> list[Variant]:
        """Every variant, by id."""
        return [
            rows.to_variant(row)
            for row in self._store.select(
                "SELECT v.*, coalesce(k.parents, []) AS parents FROM variants v LEFT JOIN ("
                "SELECT variant, list(parent ORDER BY position) AS parents FROM parents "
                "GROUP BY variant) k ON k.variant = v.id ORDER BY v.id"
            )
        ]

    def history(self) -> Iterator[Proposal | Trial | Wish]:
        """Finished proposals, trials and wishes, in the order in which the search was told.

        Trials are read while this goes on, a few at a time.
        """
        proposals = (
            (row["seq"], rows.to_proposal(row))
            for row in self._store.select("FROM proposals ORDER BY seq")
        )
        wishes = (
            (row["seq"], Wish(row["variant"], Favour(row["favour"])))
            for row in self._store.select("FROM wishes ORDER BY seq")
        )
        told: Iterator[tuple[int, Proposal | Trial | Wish]] = heapq.merge(
            proposals, self._finished_trials(), wishes, key=lambda pair: pair[0]
        )
        for _, record in told:
            yield record

    def requests(self, verb: str) -> list[dict[str, str]]:
        """The arguments of what people asked with a verb, oldest first."""
        found = self._store.select(
            "SELECT arguments FROM requests WHERE verb = ? ORDER BY asked_at, id", [verb]
        )
        return [json.loads(row["arguments"]) for row in found]

    def has_request(self, id: str) -> bool:
        """Whether a request was noted, and so has been done."""
        return bool(self._store.select("SELECT 1 FROM requests WHERE id = ?", [storable(id)]))

    def unfinished_trials(self) -> list[Trial]:
        """Trials that were queued or running when the archive was last closed, by id."""
        found = self._store.select("FROM trials WHERE seq IS NULL ORDER BY id")
        return [replace(rows.to_trial(row, ()), measurement=None) for row in found]

    def champion(self) -> int | None:
        """The variant that was promoted last; None before the first."""
        found = self._store.select("SELECT variant FROM champions ORDER BY seq DESC LIMIT 1")
        return int(found[0]["variant"]) if found else None

    def next_ids(self) -> NextIds:
        """What goes on from here. What a model was asked for keeps its id, made or not."""
        [row] = self._store.select(
            "SELECT (SELECT coalesce(max(id) + 1, 0) FROM "
            "(SELECT id FROM proposals UNION ALL SELECT proposal FROM llm_calls)) AS proposal, "
            "(SELECT coalesce(max(id) + 1, 0) FROM variants) AS variant, "
            "(SELECT coalesce(max(id) + 1, 0) FROM trials) AS trial"
        )
        return NextIds(**row)

    def _finished_trials(self) -> Iterator[tuple[int, Trial]]:
        """Finished trials with what orders them, in that order."""
        last = -1
        while block := self._store.select(
            "FROM trials WHERE seq > ? ORDER BY seq LIMIT ?", [last, TRIALS_AT_ONCE]
        ):
            curves: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in block}
            for point in self._store.select(
                "FROM curves WHERE trial IN (SELECT unnest(?::INTEGER[])) "
                "ORDER BY trial, elapsed_seconds, step",
                [list(curves)],
            ):
                curves[point["trial"]].append(point)
            for row in block:
                last = row["seq"]
                yield last, rows.to_trial(row, curves.pop(row["id"]))
