"""What lies where in a run's folder, for those who only look."""

from evo import config

DATABASE = "run.duckdb"
"""In population/RUN; the engine alone opens it."""
REPOSITORY = "variants.git"
"""In population/RUN."""
COMPILED = "compiled.zip"
"""In population/RUN: what compilers left in a trial of the baseline."""
FOUNDERS = config.FOUNDERS
"""In population/: the gene pool of every run."""
PUBLISHED = "archive.duckdb"
"""In archive/RUN; anybody may open it at any time."""
BUNDLE = "variants.bundle"
"""In archive/RUN."""
