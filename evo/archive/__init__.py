"""The archive: every measurement of a run in DuckDB, and its published copy."""
