"""The version of an archive's schema; by itself, so that who only reads needs nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb

from evo.errors import ArchiveError

SCHEMA_VERSION = 1


def schema_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int | None:
    """Version of the schema in a file; None if it has no tables yet.

    Raises:
        ArchiveError: It is a DuckDB file of something else.
    """
    [tables] = connection.execute("SELECT list(table_name) FROM duckdb_tables()").fetchall()[0]
    if not tables:
        return None
    if "meta" not in tables:
        raise ArchiveError(f"{path} is a DuckDB file, but not an archive of evo")
    row = connection.execute("SELECT max(schema_version) FROM meta").fetchone()
    assert row is not None
    return int(row[0])
