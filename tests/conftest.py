"""What several rooms' tests need."""

from pathlib import Path

import pytest

from evo.arena.corpus import Corpus
from evo.arena.preparation import prepare
from evo.arena.sources import EmbeddedSource


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The embedded text with a small vocabulary."""
    folder: Path = tmp_path_factory.mktemp("data") / "small"
    return prepare(EmbeddedSource(), folder, vocab_size=512)
