"""The file of an archive: held by one process, every change a transaction, every error explained.

DuckDB lets one process at a time open a file for writing, and a second opener may read stale
headers, so a lock beside the file is taken before it is opened and released after it is closed.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from evo.archive.schema import Schema
from evo.errors import ArchiveError, RunHeldError

NEVER = "1TB"
"""Size of the write-ahead log at which DuckDB would checkpoint by itself."""
READABLE_SINCE = "v1.2.0"
"""The oldest DuckDB that can read what is written: people open archives with the one they have."""
BLOCK_BYTES = "16384"
"""DuckDB's smallest block. Its default, sixteen times this, makes megabytes of a few trials."""


class Store:
    """A DuckDB file open for writing; safe to use from several threads.

    Args:
        connection: Open for writing.
        path: Of the file.
        lock: Held; released by `close`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, lock: FileLock) -> None:
        self._connection, self.path, self._lock = connection, path, lock
        self._guard = threading.RLock()

    @classmethod
    def open(cls, path: Path, schema: Schema) -> Store:
        """The file at a path; a new one if there is none.

        Raises:
            RunHeldError: Another process has it open.
            ArchiveError: It is damaged, of a newer version, or can't be written.
        """
        lock = _take_lock(path)
        try:
            connection = _connect(path)
            try:
                schema.bring(connection, path)
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

    def checkpoint(self) -> None:
        """Brings the main file up to date; until the next one it won't change.

        Raises:
            ArchiveError: It can't be written.
        """
        with self._guard, self._explained():
            self._connection.execute("CHECKPOINT")

    def select(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows by the names of their columns."""
        with self._guard, self._explained("read"):
            cursor = self._connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def insert(self, table: str, values: dict[str, Any]) -> None:
        """One row, in a transaction of its own."""
        with self.transaction() as cursor:
            insert(cursor, table, values)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All of what is done within, or nothing of it."""
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


def insert(cursor: duckdb.DuckDBPyConnection, table: str, values: dict[str, Any]) -> None:
    """One row, in whatever transaction there is."""
    marks = ", ".join("?" for _ in values)
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})",
        [storable(value) for value in values.values()],
    )


def storable(value: Any) -> Any:
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
            f"this run is held by {who}; end it with `evo stop --run {path.parent.name}`, or start "
            "another run with --run NAME"
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
