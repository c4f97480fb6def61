"""The archive of a run, as the engine holds it: the one writer of run.duckdb.

DuckDB lets one process at a time open a file for writing, and a second opener may read stale
headers, so a lock beside the file is taken before it is opened and released after it is closed.
Every method is one transaction. The main file changes only at `checkpoint`: between two of them
new rows go to the write-ahead log, and the file may be copied.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from filelock import FileLock, Timeout

from evo.archive import rows
from evo.archive.schema import Schema, shipped
from evo.errors import ArchiveError, RunHeldError
from evo.nouns import (
    Call,
    Clock,
    Direction,
    Estimate,
    Event,
    Favour,
    Measurement,
    Outcome,
    Program,
    Proposal,
    Recipe,
    Standing,
    Status,
    Trial,
    Variant,
    Wish,
)

NEVER = "1TB"
"""Size of the write-ahead log at which DuckDB would checkpoint by itself."""
READABLE_SINCE = "v1.2.0"
"""The oldest DuckDB that can read what is written: people open archives with the one they have."""
BLOCK_BYTES = "16384"
"""DuckDB's smallest block. Its default, sixteen times this, makes megabytes of a few trials."""


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
        connection: Open for writing.
        path: Of the database file.
        lock: Held; released by `close`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, lock: FileLock) -> None:
        self._connection, self.path, self._lock = connection, path, lock
        self._guard = threading.RLock()
        self._self_reported = False
        known = self.run()
        if known is not None:
            self._self_reported = known.recipe is Recipe.COMMAND

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
        lock = _take_lock(path)
        try:
            connection = _connect(path)
            try:
                (schema or shipped()).bring(connection, path)
                return cls(connection, path, lock)
            except duckdb.Error as error:
                connection.close()
                raise _unreadable(path, error) from error
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Closes the file and lets others have it. Safe to call twice."""
        with self._guard:
            self._connection.close()
            self._lock.release()

    # Writing

    def begin_run(self, run: RunRecord) -> None:
        values = {field: getattr(run, field) for field in run.__slots__}
        self._insert("runs", values | {"settings": json.dumps(run.settings)})
        self._self_reported = run.recipe is Recipe.COMMAND

    def begin_session(self, at: datetime) -> None:
        """An engine begins to work on this run."""
        values = {"started_at": at, "pid": os.getpid(), "host": socket.gethostname()}
        self._insert("sessions", values)

    def end_session(self, at: datetime, how: str) -> None:
        """The engine that began last ends; `how` says why."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE sessions SET ended_at = ?, how = ? "
                "WHERE started_at = (SELECT max(started_at) FROM sessions)",
                [at, _storable(how)],
            )

    def record_program(self, program: Program, at: datetime) -> None:
        """Notes a version of program.md; nothing happens if it is known."""
        with self._transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO programs VALUES (?, ?, ?)",
                [program.sha, _storable(program.text), at],
            )

    def record_proposal(self, proposal: Proposal, variant: Variant | None, at: datetime) -> None:
        """Notes a proposal and, if it was accepted, its variant with the edges to its parents."""
        with self._transaction() as cursor:
            _insert(cursor, "proposals", rows.of_proposal(proposal) | {"made_at": at})
            if variant is not None:
                _insert(cursor, "variants", rows.of_variant(variant))
                for position, parent in enumerate(variant.parents):
                    edge = {"variant": variant.id, "parent": parent, "position": position}
                    _insert(cursor, "parents", edge)

    def record_call(self, call: Call) -> None:
        """Notes a call of a language model."""
        values = rows.of_call(call)
        with self._transaction() as cursor:
            row = cursor.execute("SELECT coalesce(max(id) + 1, 0) FROM llm_calls").fetchone()
            assert row is not None
            _insert(cursor, "llm_calls", {"id": row[0]} | values)

    def queue_trial(self, trial: Trial) -> None:
        values = rows.of_queued(trial) | {"self_reported": self._self_reported}
        self._insert("trials", values)

    def start_trial(self, trial: int, at: datetime, attempt: int) -> None:
        """Notes that a queued trial runs now."""
        with self._transaction() as cursor:
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
        with self._transaction() as cursor:
            cursor.execute(
                f"UPDATE trials SET seq = nextval('told'), {names} WHERE id = ?",
                [*map(_storable, values.values()), trial.id],
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
        self._insert(
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
        self._insert(
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
        self._insert("wishes", values)

    def record_event(self, event: Event) -> None:
        self._insert("events", {"happened_at": event.at, "kind": event.kind, "text": event.text})

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
        with self._transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)",
                [*map(_storable, row)],
            )

    def checkpoint(self) -> None:
        """Brings the main file up to date; until the next one it won't change.

        Raises:
            ArchiveError: It can't be written.
        """
        with self._guard, self._explained():
            self._connection.execute("CHECKPOINT")

    # Reading

    def run(self) -> RunRecord | None:
        """The run that this archive holds; None in a new one."""
        found = self._select("SELECT * FROM runs")
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
            for row in self._select(
                "SELECT v.*, coalesce(k.parents, []) AS parents FROM variants v LEFT JOIN ("
                "SELECT variant, list(parent ORDER BY position) AS parents FROM parents "
                "GROUP BY variant) k ON k.variant = v.id ORDER BY v.id"
            )
        ]

    def history(self) -> Iterator[Proposal | Trial | Wish]:
        """Finished proposals, trials and wishes, in the order in which the search was told."""
        told: list[tuple[int, Proposal | Trial | Wish]] = [
            *((row["seq"], rows.to_proposal(row)) for row in self._select("FROM proposals")),
            *self._finished_trials(),
            *(
                (row["seq"], Wish(row["variant"], Favour(row["favour"])))
                for row in self._select("FROM wishes")
            ),
        ]
        for _, record in sorted(told, key=lambda pair: pair[0]):
            yield record

    def requests(self, verb: str) -> list[dict[str, str]]:
        """The arguments of what people asked with a verb, oldest first."""
        found = self._select(
            "SELECT arguments FROM requests WHERE verb = ? ORDER BY asked_at, id", [verb]
        )
        return [json.loads(row["arguments"]) for row in found]

    def unfinished_trials(self) -> list[Trial]:
        """Trials that were queued or running when the archive was last closed, by id."""
        found = self._select("FROM trials WHERE seq IS NULL ORDER BY id")
        return [replace(rows.to_trial(row, ()), measurement=None) for row in found]

    def champion(self) -> int | None:
        """The variant that was promoted last; None before the first."""
        found = self._select("SELECT variant FROM champions ORDER BY seq DESC LIMIT 1")
        return int(found[0]["variant"]) if found else None

    def next_ids(self) -> NextIds:
        [row] = self._select(
            "SELECT (SELECT coalesce(max(id) + 1, 0) FROM proposals) AS proposal, "
            "(SELECT coalesce(max(id) + 1, 0) FROM variants) AS variant, "
            "(SELECT coalesce(max(id) + 1, 0) FROM trials) AS trial"
        )
        return NextIds(**row)

    def proposals_by_outcome(self) -> dict[Outcome, int]:
        """How many proposals came to which outcome."""
        found = self._select("SELECT outcome, count(*) AS n FROM proposals GROUP BY outcome")
        return {Outcome(row["outcome"]): row["n"] for row in found}

    def _finished_trials(self) -> Iterator[tuple[int, Trial]]:
        curves: dict[int, list[dict[str, Any]]] = {}
        for point in self._select("FROM curves ORDER BY trial, elapsed_seconds, step"):
            curves.setdefault(point["trial"], []).append(point)
        for row in self._select("FROM trials WHERE seq IS NOT NULL"):
            yield row["seq"], rows.to_trial(row, curves.get(row["id"], ()))

    # Plumbing

    def _select(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._guard, self._explained("read"):
            cursor = self._connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        with self._transaction() as cursor:
            _insert(cursor, table, values)

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._guard, self._explained():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.Error):  # where it is beyond use, the cause is what matters
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self, deed: str = "written") -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:
            first = str(error).strip().splitlines()[0]
            advice = (
                "what was recorded before is safe: make room, or mend it, and start again"
                if deed == "written"
                else "it may be damaged: move it and its .wal away, put a copy of the published "
                "archive in its place, and start again"
            )
            raise ArchiveError(f"{self.path.name} can't be {deed}: {first}; {advice}") from error


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, values: dict[str, Any]) -> None:
    marks = ", ".join("?" for _ in values)
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})",
        [_storable(value) for value in values.values()],
    )


def _storable(value: Any) -> Any:
    """Text as any store takes it: what UTF-8 can't hold, and NUL, are replaced."""
    if isinstance(value, str):
        return (
            value.encode("utf-8", "replace")
            .decode("utf-8")
            .replace("\0", "\N{REPLACEMENT CHARACTER}")
        )
    return value


def _take_lock(path: Path) -> FileLock:
    lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
    holder = path.with_name(f"{path.name}.holder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
        at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {at}\n")
    except Timeout as error:
        who = holder.read_text("utf-8", "replace").strip() if holder.exists() else "a process"
        raise RunHeldError(
            f"this run is held by {who}; end it with `evo stop`, or start another run with "
            "--run NAME"
        ) from error
    except OSError as error:
        lock.release()
        raise ArchiveError(f"{path.parent} can't be written: {error}") from error
    return lock


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(
            str(path),
            config={
                "checkpoint_threshold": NEVER,
                "storage_compatibility_version": READABLE_SINCE,
                "default_block_size": BLOCK_BYTES,
                "threads": 1,  # trials want the cores more
                "memory_limit": "512MB",
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            },
        )
    except (duckdb.Error, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ArchiveError:
    first = str(error).strip().splitlines()[0]
    return ArchiveError(
        f"{path} can't be opened: {first}; if it is damaged, move it and its .wal away and "
        "put a copy of the published archive in its place"
    )
