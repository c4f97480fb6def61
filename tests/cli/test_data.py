"""`evo data`: what it prints, and that validation text is never part of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from evo.cli.data import data
from evo.corpus.corpus import Corpus, Split
from evo.corpus.tokenizer import load
from evo.errors import CorpusError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "My texts.jsonl"
    lines = [f"story number {each}: " + "\x1b[31mred\x1b[0m words " * 80 for each in range(200)]
    path.write_text("\n".join(json.dumps({"text": line}) for line in lines))
    return path


def said(*arguments: str) -> str:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_file_is_prepared_named_listed_and_shown(folder: Path, texts: Path) -> None:
    assert said("list") == "nothing is prepared yet; start with `evo data prepare`\n"
    assert said("list", "--json") == "[]\n"
    prepared = said("prepare", "--source", str(texts), "--vocab-size", "300")
    assert 'data = "My-texts"' in prepared
    assert said("prepare", "--source", str(texts), "--vocab-size", "300") == prepared
    corpus = Corpus.open(folder / "My-texts")
    (row,) = json.loads(said("list", "--json"))
    assert row["sha"] == corpus.sha
    assert row["tokens"] == {split: corpus.manifest.splits[split].tokens for split in Split}
    assert corpus.sha[:12] in said("list")
    assert json.loads(said("show", "My-texts", "--json")) == row
    assert corpus.sha in said("show", "My-texts", "--verify")


def test_only_training_text_is_shown_and_without_control_codes(folder: Path, texts: Path) -> None:
    said("prepare", "--source", str(texts), "--vocab-size", "300", "--name", "mine")
    shown = said("show", "mine")
    corpus = Corpus.open(folder / "mine")
    first = corpus.tokens(Split.TRAIN)[1 : corpus.offsets(Split.TRAIN)[1]]
    begin = load(corpus.tokenizer_path).decode(first.tolist()).partition(":")[0]
    assert begin.startswith("story number ")
    assert f"| {begin}" in shown
    assert shown.count("story number") == 1
    assert "\x1b" not in shown


def test_progress_is_plain_lines_on_stderr_where_there_is_no_terminal(
    folder: Path, texts: Path
) -> None:
    arguments = ["prepare", "--source", str(texts), "--vocab-size", "300"]
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.stderr.splitlines() == ["reading", "learning the tokenizer", "encoding"]


def test_damaged_data_is_listed_with_its_cause(folder: Path, texts: Path) -> None:
    said("prepare", "--source", str(texts), "--vocab-size", "300", "--name", "mine")
    (folder / "mine" / "manifest.json").write_text("{")
    assert "is damaged" in said("list")
    assert "is damaged" in json.loads(said("list", "--json"))[0]["cause"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show"], "evo data prepare --source embedded"),
        (["show", "mine"], "--source PATH --name mine"),
        (["prepare", "--source", "nowhere"], "neither embedded nor climbmix"),
        (["prepare", "--name", "../up"], "can't be a name"),
        (["prepare", "--vocab-size", "10"], "257"),
        (["prepare", "--source", "climbmix", "--shards", "0"], "1 to 6,543 shards"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(CorpusError, match=words) as caught:
        CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_flags_of_climbmix_go_with_climbmix(folder: Path) -> None:
    result = CliRunner().invoke(data, ["prepare", "--shards", "2"])
    assert result.exit_code == 2
    assert "go with --source climbmix" in result.output
