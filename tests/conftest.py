"""What several rooms' tests need."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads on one busy core are slower than one

import pytest

from evo.corpus.corpus import Corpus
from evo.corpus.preparation import prepare
from evo.corpus.sources import EmbeddedSource


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The embedded text with a small vocabulary."""
    folder: Path = tmp_path_factory.mktemp("data") / "small"
    return prepare(EmbeddedSource(), folder, vocab_size=512)
