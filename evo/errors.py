"""What can go wrong, in the words of the person who has to act on it.

Every message names the rule, what was expected and what came, and what to do next, in one line.
Only the command line catches `EvoError`; it prints that line and exits with code 2.
"""


class EvoError(Exception):
    """Anything that evo can explain in one line."""


class SettingsError(EvoError):
    """A setting is unknown, of the wrong type or out of its range."""


class CorpusError(EvoError):
    """Text can't be prepared, downloaded or read as training data."""


class PatchError(EvoError):
    """An edit doesn't apply to the text that it is meant for."""


class MergeConflictError(EvoError):
    """Two versions change the same thing in different ways."""


class PopulationError(EvoError):
    """The git repository of variants is missing something or can't be written."""


class ArchiveError(EvoError):
    """The DuckDB archive is missing, damaged, or of another schema version."""


class RunHeldError(EvoError):
    """Another engine is working on this run."""


class ArenaError(EvoError):
    """A trial can't be measured for a reason that isn't the variant's fault."""
