"""Reading a published archive: any SQL, but nothing that writes, reaches out or never ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from evo.archive.schema import VERSION, version_of
from evo.errors import ArchiveError

QUERY_SECONDS = 60.0
CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "1GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@dataclass(frozen=True, slots=True)
class Table:
    """What a query answers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or macro that can be asked, and what is in it."""

    name: str
    kind: str
    comment: str
    columns: tuple[str, ...]


class Reader:
    """A published archive, open for reading; use it in a `with` block, or close it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Reader:
        """Opens a published copy.

        Raises:
            ArchiveError: It is missing, damaged, or of a newer version.
        """
        if not path.exists():
            raise ArchiveError(f"there is no archive at {path}")
        # An instance of its own for each reader: DuckDB shares one by its path within a process,
        # and would show the old content of a file that was replaced while somebody had it open.
        connection = duckdb.connect(":memory:", config=CONFIGURATION)
        try:
            quoted = str(path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS archive (READ_ONLY)")
            connection.execute("USE archive")
            connection.execute("DETACH memory")  # nothing is left that could be written to
            # Before anything of it is asked: what should be a table may be a stranger's view.
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            version = version_of(connection, path)
            if version is None:
                raise ArchiveError(f"{path} is a DuckDB file, but not an archive of evo")
            if version > VERSION:
                raise ArchiveError(
                    f"{path} has schema version {version}, and this evo reads {VERSION}: update evo"
                )
        except (duckdb.Error, OSError) as error:
            connection.close()
            first = str(error).strip().splitlines()[0]
            raise ArchiveError(
                f"{path} can't be read: {first}; the next trial of a running engine replaces it"
            ) from error
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the file back."""
        self._connection.close()

    def interrupt(self) -> None:
        """Gives up the question that is being asked; call it from another thread."""
        with contextlib.suppress(duckdb.ConnectionException):  # it has just been answered
            self._connection.interrupt()

    def query(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        seconds: float = QUERY_SECONDS,
        most_rows: int | None = None,
    ) -> Table:
        """Asks one question.

        Args:
            sql: Any statement that reads.
            parameters: Values of its `?`.
            seconds: The question is given up after so long.
            most_rows: Rows beyond these aren't fetched. None fetches all.

        Raises:
            ArchiveError: There is no statement in it, it takes too long, or DuckDB refuses it, in
                DuckDB's own words.
        """
        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            # Its type doesn't say so, but where there is no statement there is nothing to fetch.
            cursor: duckdb.DuckDBPyConnection | None = self._connection.execute(
                sql, list(parameters)
            )
            if cursor is None:
                raise ArchiveError("there is no question; ask one, such as `from operator_yield`")
            columns = tuple(column[0] for column in cursor.description or ())
            found = cursor.fetchall() if most_rows is None else cursor.fetchmany(most_rows)
            return Table(columns, tuple(found))
        except duckdb.InterruptException as error:
            raise ArchiveError(
                f"the question was given up: it took more than {seconds:g} s, or was broken off"
            ) from error
        except duckdb.Error as error:
            raise ArchiveError(self._explain(error)) from error
        finally:
            timer.cancel()
            timer.join()  # or it may still hold the connection when the process ends

    def relations(self) -> list[Relation]:
        """What can be asked: tables, views and table macros, with their comments."""
        found = self.query(
            """
            SELECT t.name, t.kind, coalesce(t.comment, ''), t.columns FROM (
                SELECT table_name AS name, 'table' AS kind, comment, (
                    SELECT list(column_name ORDER BY column_index) FROM duckdb_columns() c
                    WHERE c.table_name = r.table_name AND c.schema_name = r.schema_name) AS columns
                FROM duckdb_tables() r WHERE NOT internal
                UNION ALL
                SELECT view_name, 'view', comment, (
                    SELECT list(column_name ORDER BY column_index) FROM duckdb_columns() c
                    WHERE c.table_name = r.view_name AND c.schema_name = r.schema_name)
                FROM duckdb_views() r WHERE NOT internal
                UNION ALL
                SELECT function_name, 'macro', comment, parameters
                FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal
            ) t ORDER BY t.kind, t.name
            """
        )
        return [
            Relation(str(name), str(kind), str(comment), tuple(columns or ()))
            for name, kind, comment, columns in found.rows
        ]

    def _explain(self, error: duckdb.Error) -> str:
        lines = [line for line in str(error).splitlines() if line.strip()]
        text = " ".join(lines[0].split()) if lines else type(error).__name__
        if isinstance(error, duckdb.CatalogException):
            names = ", ".join(relation.name for relation in self.relations())
            return f"{text} There is: {names}"
        if "read-only" in text:
            return f"the archive can only be read: {text}"
        return text
