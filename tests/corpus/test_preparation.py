"""Preparation: the same text gives the same data, and bad input is met by one line."""

import ctypes
import gzip
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.corpus import tokenizer as bpe
from evo.corpus.corpus import Corpus, Split
from evo.corpus.documents import LONGEST_CHARACTERS, cut
from evo.corpus.preparation import prepare, prepare_if_missing, source_of
from evo.corpus.sources import (
    EmbeddedSource,
    FilesSource,
    Progress,
    Stage,
)
from evo.corpus.splitting import DROPPED, SPLITS, digest_of, partition
from evo.errors import CorpusError

VOCAB_SIZE = 300
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "that",
    "was",
    "her",
    "she",
    "had",
    "his",
    "not",
    "with",
    "for",
    "be",
    "Emma",
    "could",
    "would",
    "so",
]


def story(seed: int, words: int = 1_000) -> str:
    rng = random.Random(seed)
    return f"No. {seed}: " + " ".join(rng.choices(WORDS, k=words)) + "."


STORIES = [story(seed) for seed in range(60)]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "stories.txt"
    path.write_text("\n<|endoftext|>\n".join(STORIES))
    return path


def prepared_from(path: Path, destination: Path, **options: Any) -> Corpus:
    return prepare(FilesSource(path), destination, vocab_size=VOCAB_SIZE, **options)


def documents(corpus: Corpus, split: Split) -> list[str]:
    learnt = bpe.load(corpus.tokenizer_path)
    tokens, offsets = corpus.tokens(split), corpus.offsets(split)
    return [learnt.decode(tokens[start + 1 : end].tolist()) for start, end in pairwise(offsets)]


def refusal(path: Path, tmp_path: Path) -> str:
    """The one line by which a path is refused, having left nothing behind."""
    out = tmp_path / "out"
    with pytest.raises(CorpusError) as caught:
        prepared_from(path, out / "corpus")
    assert "\n" not in str(caught.value)
    assert [each.name for each in out.glob("*") if each.suffix != ".lock"] == []
    return str(caught.value)


def test_every_document_is_in_one_split_and_nothing_is_lost(text: Path, tmp_path: Path) -> None:
    corpus = prepared_from(text, tmp_path / "out")
    corpus.verify()
    found = {split: documents(corpus, split) for split in Split}
    assert sorted(chain.from_iterable(found.values())) == sorted(STORIES)
    assert all(found.values())
    train = corpus.manifest.splits[Split.TRAIN]
    assert train.bytes > 0.5 * sum(map(len, STORIES))


def test_two_preparations_are_equal_byte_for_byte(text: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / text.name
    moved.parent.mkdir()
    shutil.copyfile(text, moved)
    first = prepared_from(text, tmp_path / "a" / "corpus")
    second = prepared_from(moved, tmp_path / "b" / "corpus")
    assert first.sha == second.sha
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()
    assert str(tmp_path) not in (first.folder / "manifest.json").read_text()


def test_another_process_with_another_hash_seed_prepares_the_same(
    text: Path, tmp_path: Path
) -> None:
    corpus = prepared_from(text, tmp_path / "a")
    process = _preparing(text, tmp_path / "b", PYTHONHASHSEED="7", RAYON_NUM_THREADS="1")
    assert process.wait(60) == 0
    assert Corpus.open(tmp_path / "b").sha == corpus.sha


def test_the_order_of_documents_does_not_change_what_validates(text: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.txt"
    turned.write_text("\n<|endoftext|>\n".join(reversed(STORIES)))
    first, second = prepared_from(text, tmp_path / "a"), prepared_from(turned, tmp_path / "b")
    for split in (Split.SEARCH, Split.HOLDOUT, Split.LOCKED):
        assert documents(first, split) == documents(second, split)


def test_copies_of_a_document_are_dropped(text: Path, tmp_path: Path) -> None:
    doubled = tmp_path / "doubled.txt"
    doubled.write_text("\n<|endoftext|>\n".join([*STORIES, *STORIES[:20]]))
    corpus = prepared_from(doubled, tmp_path / "out")
    assert corpus.manifest.duplicates == 20
    assert sum(split.documents for split in corpus.manifest.splits.values()) == len(STORIES)


def test_a_second_preparation_returns_what_is_there(text: Path, tmp_path: Path) -> None:
    stages: list[Progress] = []
    first = prepared_from(text, tmp_path / "out", on_progress=stages.append)
    inode = (first.folder / "manifest.json").stat().st_ino
    assert {each.stage for each in stages} == {"reading", "learning the tokenizer", "encoding"}
    stages.clear()
    second = prepared_from(text, tmp_path / "out", on_progress=stages.append)
    assert not stages
    assert (second.folder / "manifest.json").stat().st_ino == inode
    forced = prepared_from(text, tmp_path / "out", force=True)
    assert (forced.folder / "manifest.json").stat().st_ino != inode
    assert forced.sha == first.sha


def test_a_name_that_is_taken_is_not_overwritten(text: Path, tmp_path: Path) -> None:
    prepared_from(text, tmp_path / "out")
    with pytest.raises(CorpusError, match=r"with a vocabulary of 300, not 400.*--force"):
        prepare(FilesSource(text), tmp_path / "out", vocab_size=400)
    text.write_text(text.read_text() + " More.")
    with pytest.raises(CorpusError, match=r"from another source or other text.*--force"):
        prepared_from(text, tmp_path / "out")
    other = tmp_path / "photos"
    other.mkdir()
    with pytest.raises(CorpusError, match="overwrites nothing"):
        prepared_from(text, other)
    (other / "photo.jpg").write_bytes(b"dear")
    with pytest.raises(CorpusError, match="overwrites nothing"):
        prepared_from(text, other, force=True)
    assert (other / "photo.jpg").read_bytes() == b"dear"


@pytest.mark.parametrize("stage", [Stage.LEARN, Stage.ENCODE])
def test_a_source_that_changes_while_it_is_read_is_refused(
    text: Path, tmp_path: Path, stage: Stage
) -> None:
    def meddle(progress: Progress) -> None:
        if progress.stage is stage:
            text.write_text(text.read_text().replace("No. 699", "No. 999"))

    text.write_text("\n<|endoftext|>\n".join(story(seed) for seed in range(700)))
    with pytest.raises(CorpusError, match="changed while it was read"):
        prepared_from(text, tmp_path / "out", on_progress=meddle)
    assert not (tmp_path / "out").exists()


def test_damaged_data_is_replaced_by_force(text: Path, tmp_path: Path) -> None:
    corpus = prepared_from(text, tmp_path / "out")
    (corpus.folder / "train.tokens.bin").write_bytes(b"")
    with pytest.raises(CorpusError, match="is damaged"):
        prepared_from(text, tmp_path / "out")
    assert prepared_from(text, tmp_path / "out", force=True).sha == corpus.sha


def test_an_open_corpus_survives_being_replaced(text: Path, tmp_path: Path) -> None:
    tokens = prepared_from(text, tmp_path / "out").tokens(Split.TRAIN)
    before = np.array(tokens)
    text.write_text("\n<|endoftext|>\n".join(story(seed) for seed in range(100, 170)))
    prepared_from(text, tmp_path / "out", force=True)
    assert np.array_equal(tokens, before)


def test_the_embedded_text_prepares_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVO_DATA_DIR", str(tmp_path))
    prepare_if_missing("mine")
    assert list(tmp_path.iterdir()) == []
    prepare_if_missing("embedded")
    corpus = Corpus.open(tmp_path / "embedded")
    assert corpus.vocab_size == 2_048
    assert sum(split.documents for split in corpus.manifest.splits.values()) == 269
    assert corpus.manifest.source.licence == "public domain"


def test_the_embedded_text_needs_neither_arrow_nor_a_network(tmp_path: Path) -> None:
    script = (
        "import socket, sys\n"
        "socket.socket = None\n"
        "from evo.corpus.preparation import prepare_if_missing\n"
        "prepare_if_missing('embedded')\n"
        "assert not {'pyarrow', 'httpx', 'tenacity', 'torch'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "EVO_DATA_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=_root())


def test_a_folder_pools_files_of_every_kind(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "texts"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    parts = [STORIES[start : start + 10] for start in range(0, 60, 10)]
    joined = ["\n<|endoftext|>\n".join(part).encode() for part in parts]
    lines = ["\n".join(json.dumps({"id": 1, "text": each}) for each in part) for part in parts]
    (folder / "a.md").write_bytes(b"\xef\xbb\xbf" + joined[0] + b"\r\n<|endoftext|>")
    (folder / "b.txt.gz").write_bytes(gzip.compress(joined[1]))
    (folder / "deep" / "c.text.xz").write_bytes(lzma.compress(joined[2]))
    (folder / "deep" / "d.jsonl").write_text(lines[3] + "\n\n")
    (folder / "e.jsonl.xz").write_bytes(lzma.compress(lines[4].encode()))
    table = pa.table({"text": [*parts[5], None, "", " \n"], "other": range(13)})
    pq.write_table(table, folder / "f.parquet", row_group_size=4)
    (folder / "picture.png").write_bytes(b"\0\1\2")
    (folder / "deep" / ".hidden" / "g.txt").write_text("never read")
    (folder / "empty.txt").write_text("")
    corpus = prepared_from(folder, tmp_path / "out")
    found = [each for split in Split for each in documents(corpus, split)]
    assert sorted(found) == sorted(STORIES)
    assert corpus.manifest.source.description == (
        "files: 1 .jsonl, 1 .jsonl.xz, 1 .md, 1 .parquet, 1 .text.xz, 1 .txt, 1 .txt.gz"
    )


def test_a_long_document_is_cut_and_the_manifest_says_so(tmp_path: Path) -> None:
    path = tmp_path / "novel.txt"
    path.write_text("\n\n".join(STORIES))
    corpus = prepared_from(path, tmp_path / "out")
    assert corpus.manifest.parts == sum(
        split.documents for split in corpus.manifest.splits.values()
    )
    assert "cut into parts" in corpus.manifest.documents_cut
    for split in Split:
        # Cut at blank lines: every part begins where a story does.
        assert all(each.startswith("No. ") for each in documents(corpus, split))


def test_a_file_larger_than_a_block_is_read_whole(tmp_path: Path) -> None:
    whole = "\n\n".join(story(seed) for seed in range(700))
    assert len(whole) > 2_500_000
    path = tmp_path / "large.txt"
    path.write_text(whole + "\n<|endoftext|>\nlast words")
    *parts, last = FilesSource(path).documents()
    assert "\n\n".join(part.text for part in parts) == whole
    assert all(part.is_part for part in parts)
    assert (last.text, last.is_part) == ("last words", False)


@given(st.text(alphabet="ab \n\r\té", min_size=0, max_size=300), st.integers(1, 900))
def test_cutting_loses_nothing_but_newlines(piece: str, times: int) -> None:
    text = piece * times
    parts = [document.text for document in cut(text)]
    kept = "".join(text.split())
    assert "".join("".join(part.split()) for part in parts) == kept
    assert all(part.strip() and len(part) <= LONGEST_CHARACTERS for part in parts)


@pytest.fixture(scope="module")
def learnt() -> Any:
    return bpe.learn([*STORIES, "naïve café – “quoted” 日本語 🙂🙃" * 20], 400)


@given(
    text=st.one_of(st.text(), st.text(alphabet="aé日🙂\n \u0301<|bos|>endoftext01", max_size=80))
)
def test_token_bytes_count_any_text_and_decoding_returns_it(learnt: Any, text: str) -> None:
    (ids,) = bpe.encode(learnt, [text])
    sizes = bpe.token_bytes_of(learnt)
    assert int(sizes[ids].sum()) == len(text.encode())
    assert all(id_ != len(sizes) - 1 for id_ in ids)
    assert learnt.decode(ids) == text


def test_half_a_character_counts_its_own_bytes(learnt: Any) -> None:
    (ids,) = bpe.encode(learnt, ["\u4e00"])  # never seen in training: a token for each byte
    assert len(ids) > 1
    sizes = bpe.token_bytes_of(learnt)
    assert int(sizes[ids].sum()) == 3
    assert sum(len(learnt.decode([id_]).encode()) for id_ in ids) > 3


@given(st.lists(st.binary(min_size=1, max_size=2), min_size=400, max_size=600))
def test_equal_documents_never_straddle_splits(texts: list[bytes]) -> None:
    sizes = np.array([1_000 + 10 * len(text) for text in texts], dtype=np.int64)
    digests = b"".join(map(digest_of, texts))
    try:
        plan = partition(digests, sizes, 257, 50_000)
    except CorpusError:
        return
    kept = [text for text, code in zip(texts, plan.codes, strict=True) if code != DROPPED]
    assert len(kept) == len(set(kept)) == len(set(texts))
    assert set(plan.codes) >= set(range(len(SPLITS)))
    assert np.all(plan.codes[plan.sampled] == SPLITS.index(Split.TRAIN))
    again = partition(b"".join(map(digest_of, texts)), sizes, 257, 50_000)
    assert np.array_equal(plan.codes, again.codes)


def test_a_large_text_gets_bounded_validation_splits() -> None:
    sizes = np.full(200_000, 5_000, dtype=np.int64)
    plan = partition(b"".join(digest_of(b"%d" % n) for n in range(200_000)), sizes, 8_192, 10**8)
    for code in (1, 2, 3):
        assert 8.7e6 < sizes[plan.codes == code].sum() < 1.1e7
    assert plan.sample_bytes == pytest.approx(10**8, rel=0.05)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("\n<|endoftext|>\n \n")
    assert "holds no text" in refusal(path, tmp_path)


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\0")
    with pytest.raises(CorpusError, match=r"holds no text; supported are .txt"):
        FilesSource(folder)


def test_text_that_is_too_short_says_how_much_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("A short text.")
    assert "too short to be split: it has 13 bytes" in refusal(path, tmp_path)


def test_text_of_too_few_documents_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("\n<|endoftext|>\n".join(story(seed, 15_000)[:65_000] for seed in range(4)))
    assert "too few documents" in refusal(path, tmp_path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.txt"
    path.write_bytes(b"x" * 2_000_000 + b"\0" + b"x" * 10)
    assert "is binary (a zero byte at offset 2,000,000)" in refusal(path, tmp_path)


@pytest.mark.parametrize("offset", [0, 5, (1 << 20) - 1, (1 << 20), 1_500_000])
def test_invalid_utf8_names_the_offset_of_the_byte(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"a" * offset + b"\xe9 " + b"a" * 100)
    said = refusal(path, tmp_path)
    assert f"isn't UTF-8: the byte at offset {offset:,} is 0xe9" in said


def test_utf8_that_ends_within_a_character_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "torn.txt"
    path.write_bytes(b"abc\xe2\x82")
    assert "offset 3 is 0xe2" in refusal(path, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b'{"body": "x"}',
        b'{"text": 3}',
        b"[1]",
        b'"text"',
        b'{"text": "\\ud800"}',
        b'{"text": "\xff"}',
    ],
)
def test_a_broken_line_of_json_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'{"text": "fine"}\n\n' + line + b'\n{"text": "fine"}\n')
    assert f"{path}:3 isn't a JSON object with a string `text`" in refusal(path, tmp_path)


def test_a_small_file_that_unpacks_to_an_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"text": "')
        for _ in range(65):
            file.write(b"x" * 2**20)
    assert f"{path}:1 is longer than 64 MB" in refusal(path, tmp_path)


def test_parquet_without_a_text_column_names_the_columns(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["x"], "text": [1]}), path)
    assert "no column `text` of strings, only body (string), text (int64)" in refusal(
        path, tmp_path
    )
    path.write_bytes(b"PAR1 but not really PAR1")
    assert "can't be read as parquet" in refusal(path, tmp_path)


@pytest.mark.parametrize(
    ("name", "compress"), [("a.txt.gz", gzip.compress), ("a.jsonl.xz", lzma.compress)]
)
def test_a_truncated_archive_is_refused(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(compress(json.dumps({"text": story(1)}).encode())[:-20])
    assert "can't be read" in refusal(path, tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux")
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "memory.txt"
    path.symlink_to("/proc/self/mem")  # opens, and fails when read, for root too
    assert "can't be read: Input/output error" in refusal(path, tmp_path)


@pytest.mark.parametrize("source", ["", "nowhere", "/no/such/file.txt", "climbmix2"])
def test_an_unknown_source_is_refused(source: str) -> None:
    with pytest.raises(CorpusError, match="neither embedded nor climbmix"):
        source_of(source)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b")
    with pytest.raises(CorpusError, match="of no kind that can be read"):
        source_of(str(tmp_path / "table.csv"))


@pytest.mark.parametrize("vocab_size", [-1, 0, 256, 10**9])
def test_an_impossible_vocabulary_is_refused(tmp_path: Path, vocab_size: int) -> None:
    with pytest.raises(CorpusError, match=r"257 .* to 1,048,576 token ids"):
        prepare(EmbeddedSource(), tmp_path / "out", vocab_size=vocab_size)


def test_a_destination_that_cannot_be_written_says_so(text: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match=r"can't be written: .*EVO_DATA_DIR"):
        prepared_from(text, tmp_path / "file" / "corpus")


def test_a_killed_preparation_leaves_nothing_that_stands_in_the_way(
    text: Path, tmp_path: Path
) -> None:
    text.write_text("\n<|endoftext|>\n".join(story(seed) for seed in range(500)))
    destination = tmp_path / "out" / "corpus"
    for delay_seconds in (0.0, 0.1, 0.3):
        process = _preparing(text, destination)
        _wait_for((tmp_path / "out" / ".corpus.partial").exists)
        time.sleep(delay_seconds)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert not destination.exists()
    corpus = prepared_from(text, destination)
    corpus.verify()
    assert sorted(path.name for path in destination.parent.iterdir()) == [".corpus.lock", "corpus"]


def test_a_kill_between_the_two_renames_of_a_replacement_is_undone(
    text: Path, tmp_path: Path
) -> None:
    corpus = prepared_from(text, tmp_path / "corpus")
    corpus.folder.rename(tmp_path / ".corpus.old")
    (tmp_path / ".corpus.partial").mkdir()
    assert prepared_from(text, tmp_path / "corpus").sha == corpus.sha
    assert not (tmp_path / ".corpus.old").exists()
    assert not (tmp_path / ".corpus.partial").exists()


def test_concurrent_preparations_end_with_one_sound_corpus(text: Path, tmp_path: Path) -> None:
    processes = [_preparing(text, tmp_path / "corpus") for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    Corpus.open(tmp_path / "corpus").verify()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB, where the system lets us have one."""
    libc, folder = ctypes.CDLL(None, use_errno=True), tmp_path / "disk"
    folder.mkdir()
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=256k") != 0:
        pytest.skip(f"no disk can be mounted: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(bytes(folder), 2)


def test_a_full_disk_says_so_and_leaves_nothing(tiny_disk: Path, tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("\n<|endoftext|>\n".join(story(seed) for seed in range(400)))
    with pytest.raises(CorpusError, match=r"No space left on device; free some room"):
        prepared_from(text, tiny_disk / "corpus")
    assert [path.name for path in tiny_disk.iterdir()] == [".corpus.lock"]


def _root() -> Path:
    return Path(__file__).parents[2]


def _preparing(text: Path, destination: Path, **environment: str) -> subprocess.Popen[bytes]:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from evo.corpus.preparation import prepare\n"
        "from evo.corpus.sources import FilesSource\n"
        f"prepare(FilesSource(Path(sys.argv[1])), Path(sys.argv[2]), vocab_size={VOCAB_SIZE})\n"
    )
    command = [sys.executable, "-c", script, str(text), str(destination)]
    return subprocess.Popen(command, env={**os.environ, **environment}, cwd=_root())


def _wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
