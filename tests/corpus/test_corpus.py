"""The corpus: opened quickly, refused clearly, verified byte by byte."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evo.corpus.corpus import Corpus, Split, data_folder, locate, prepared
from evo.corpus.preparation import EMBEDDED, prepare
from evo.corpus.sources import EmbeddedSource
from evo.errors import CorpusError


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return prepare(EmbeddedSource(), tmp_path_factory.mktemp("data") / EMBEDDED)


@pytest.fixture
def folder(embedded: Corpus, tmp_path: Path) -> Path:
    """A copy of prepared data that a test may damage."""
    return Path(shutil.copytree(embedded.folder, tmp_path / EMBEDDED))


def change(folder: Path, **fields: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def test_every_document_of_every_split_starts_with_bos(embedded: Corpus) -> None:
    for split in Split:
        tokens, offsets = embedded.tokens(split), embedded.offsets(split)
        assert offsets[0] == 0
        assert offsets[-1] == len(tokens) == embedded.manifest.splits[split].tokens
        assert np.all(np.diff(offsets) > 1)
        assert np.array_equal(np.flatnonzero(tokens == embedded.bos), offsets[:-1])


def test_token_bytes_add_up_to_the_bytes_of_the_text(embedded: Corpus) -> None:
    assert embedded.token_bytes.shape == (embedded.vocab_size,)
    assert embedded.token_bytes.dtype == np.int64
    assert embedded.token_bytes[embedded.bos] == 0
    for split in Split:
        found = int(embedded.token_bytes[embedded.tokens(split)].sum())
        assert found == embedded.manifest.splits[split].bytes


def test_tokens_are_mapped_and_nobody_can_write_them(embedded: Corpus) -> None:
    tokens = embedded.tokens(Split.TRAIN)
    assert isinstance(tokens, np.memmap)
    assert tokens.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        embedded.token_bytes[0] = 1


def test_the_embedded_splits_have_enough_to_score(embedded: Corpus) -> None:
    for split in (Split.SEARCH, Split.HOLDOUT, Split.LOCKED):
        assert 80_000 < embedded.manifest.splits[split].tokens < 100_000


def test_the_sha_is_of_the_data_and_not_of_its_name(embedded: Corpus, folder: Path) -> None:
    change(folder, name="another", created_by="evo 9")
    assert Corpus.open(folder).sha == embedded.sha
    change(folder, duplicates=5)
    assert Corpus.open(folder).sha != embedded.sha


def test_a_folder_without_data_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no prepared data.*evo data prepare"):
        Corpus.open(tmp_path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": 99}, "was prepared with schema 99, this evo reads schema 1"),
        ({"vocab_size": "many"}, "is damaged.*Expected `int`"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"splits": {}}, "contradicts itself"),
        ({"bos": 4_000}, "BOS is 4000"),
        ({"token_dtype": "float64"}, "tokens are of type float64"),
        ({"token_dtype": "uint32"}, "tokens in"),
        ({"token_bytes": {"name": "../x", "bytes": 16_384, "sha256": ""}}, "a file is called"),
    ],
)
def test_a_manifest_that_cannot_be_is_one_line(
    folder: Path, fields: dict[str, object], words: str
) -> None:
    change(folder, **fields)
    with pytest.raises(CorpusError, match=words) as caught:
        Corpus.open(folder)
    assert "\n" not in str(caught.value)
    assert "evo data prepare --force" in str(caught.value)


def test_half_a_manifest_is_damage(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorpusError, match=r"is damaged: manifest.json isn't readable"):
        Corpus.open(folder)


def test_a_truncated_token_file_is_noticed_on_opening(folder: Path) -> None:
    with (folder / "train.tokens.bin").open("r+b") as stream:
        stream.truncate(1_000)
    with pytest.raises(CorpusError, match=r"train\.tokens\.bin should have .* it has 1,000"):
        Corpus.open(folder)


def test_a_missing_file_is_noticed_on_opening(folder: Path) -> None:
    (folder / "locked.offsets.bin").unlink()
    with pytest.raises(CorpusError, match=r"locked\.offsets\.bin can't be read"):
        Corpus.open(folder)


def test_verifying_finds_a_single_flipped_bit(embedded: Corpus, folder: Path) -> None:
    embedded.verify()
    with (folder / "search.tokens.bin").open("r+b") as stream:
        first = stream.read(1)[0]
        stream.seek(0)
        stream.write(bytes([first ^ 1]))
    corpus = Corpus.open(folder)
    with pytest.raises(CorpusError, match=r"search\.tokens\.bin should have SHA-256"):
        corpus.verify()


def test_data_is_found_by_name_or_by_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVO_DATA_DIR", str(tmp_path))
    assert data_folder() == tmp_path
    assert locate("embedded") == locate(folder) == folder
    assert prepared() == [folder]
    for missing, advice in (
        ("climbmix", "--source climbmix`"),
        ("mine", "--source PATH --name mine`"),
        (str(tmp_path / "no" / "where"), "--source PATH`"),
        ("", "--source PATH`"),
    ):
        with pytest.raises(CorpusError, match="prepared so far: embedded") as caught:
            locate(missing)
        assert str(caught.value).endswith(advice)


def test_without_the_variable_data_lives_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EVO_DATA_DIR", raising=False)
    assert data_folder().parts[-2:] == ("evo", "data")
