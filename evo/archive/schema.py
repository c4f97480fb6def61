"""The schema of an archive: made whole in a new file, or brought from an older version to this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from evo.errors import ArchiveError


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of the tables and views, and the ways to it from earlier ones."""

    version: int
    tables: str
    """SQL that makes them in an empty database."""
    views: str = ""
    """SQL that makes views and macros, or makes them anew."""
    migrations: Mapping[int, str] = field(default_factory=dict)
    """SQL by the version that it leaves behind: N leads to N + 1. It leaves the views alone."""

    def bring(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Makes the schema in a new file, or brings an older one up to this version, or neither.

        Raises:
            ArchiveError: The file is of a newer version, of something else, or an older version
                can't be brought on; it is then as it was.
        """
        version = version_of(connection, path)
        if version == self.version:
            return
        if version is not None and version > self.version:
            raise ArchiveError(
                f"{path} has schema version {version}, and this evo knows {self.version}: "
                "update evo, or start another run with --run NAME"
            )
        connection.execute("BEGIN")
        try:
            if version is None:
                connection.execute(self.tables)
                connection.execute("INSERT INTO meta VALUES (?)", [self.version])
            else:
                for step in range(version, self.version):
                    connection.execute(self.migrations[step])
                connection.execute("UPDATE meta SET schema_version = ?", [self.version])
            connection.execute(self.views)
            connection.execute("COMMIT")
        except (duckdb.Error, KeyError) as error:
            connection.execute("ROLLBACK")
            cause = f"no way on from {error}" if isinstance(error, KeyError) else error
            raise ArchiveError(
                f"{path} can't be brought from schema version {version} to {self.version}: {cause}"
            ) from error


@cache
def shipped() -> Schema:
    """The schema that this evo writes: the SQL beside this file, and migrations/N.sql."""
    package = files("evo.archive")
    folder = package.joinpath("migrations")
    migrations = {
        int(entry.name.removesuffix(".sql")): entry.read_text("utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    }
    tables, views = (package.joinpath(name).read_text("utf-8") for name in FILES)
    return Schema(VERSION, tables, views, migrations)


VERSION = 4
FILES = ("schema.sql", "views.sql")


def version_of(connection: duckdb.DuckDBPyConnection, path: Path) -> int | None:
    """Version of the schema in a file; None if it has no tables yet.

    Raises:
        ArchiveError: It is a DuckDB file of something else.
    """
    [tables] = connection.execute(
        "SELECT list(table_name) FROM duckdb_tables() WHERE schema_name = 'main'"
    ).fetchall()[0]
    if not tables:
        return None
    if "meta" not in tables:
        raise ArchiveError(f"{path} is a DuckDB file, but not an archive of evo")
    row = connection.execute("SELECT max(schema_version) FROM meta").fetchone()
    assert row is not None
    return int(row[0])
