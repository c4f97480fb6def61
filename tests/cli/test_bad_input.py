"""What people and machines get wrong: one line on stderr, exit code 2, and nothing is lost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.projects import (
    SCRIPT,
    evo,
    git,
    make_project,
    rows,
    start_engine,
    wait_until,
)

DATABASE, PUBLISHED = "population/main/run.duckdb", "archive/main/archive.duckdb"


def rarely(*values: str) -> list[Any]:
    """Each takes an engine or two: these are for the slow tests."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def complaint(project: Path, *arguments: str) -> str:
    """The one line with which a command refuses."""
    done = evo(project, *arguments, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ")


def run(project: Path, trials: int = 2) -> None:
    evo(project, "run", "--plain", "--trials", str(trials))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_project(tmp_path_factory.mktemp("begun"))
    run(made, 4)
    return made


@pytest.fixture
def begun(begun_once: Path, tmp_path: Path) -> Path:
    """A project of one's own, with a run of four trials that is over."""
    return Path(shutil.copytree(begun_once, tmp_path / "project"))


# The project


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"KNOB = = 1\n", "script.py can't be the baseline: it isn't Python: line 1"),
        (b"# \xff\nprint(1)\n", "script.py can't be read: 'utf-8' codec"),
        (None, "there is no script.py here; `evo init DIR` makes a project"),
    ],
)
def test_an_editable_file_that_is_none(project: Path, text: bytes | None, words: str) -> None:
    path = project / "script.py"
    path.unlink() if text is None else path.write_bytes(text)
    assert words in complaint(project, "run", "--plain", "--trials", "1")


def test_a_training_script_without_the_contract(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')\n")
    (tmp_path / "program.md").write_text("Lower is better.\n")
    words = "def build_model(vocab_size, sequence_len, scale)"
    assert words in complaint(tmp_path, "eval", "train.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "program.md can't be read: No such file"),
        (b" \n", "program.md is empty"),
        (b"\xff\xfe", "program.md can't be read"),
    ],
)
def test_a_program_that_is_none(project: Path, text: bytes | None, words: str) -> None:
    path = project / "program.md"
    path.unlink() if text is None else path.write_bytes(text)
    assert words in complaint(project, "run", "--plain", "--trials", "1")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--budget", "0"), "for `--budget`"),
        (("--trials", "-3"), "Expected `int` >= 1, for `--trials`"),
        (("--context-tokens", "5"), "for `--context-tokens`"),
        (("--strategy", "magic"), "it can be population, greedy"),
        (("--run", "../elsewhere"), "for `--run`"),
    ],
)
def test_a_flag_that_can_not_be(project: Path, flags: tuple[str, str], words: str) -> None:
    assert words in complaint(project, "run", *flags)
    assert not (project / "population" / "main").exists()


@pytest.mark.parametrize("command", ["tui", "serve"])
def test_a_screen_of_a_run_that_does_not_exist_or_of_two(project: Path, command: str) -> None:
    by_option = complaint(project, command, "--run", "nope")
    assert by_option == complaint(project, command, "nope")
    assert "there is no run nope here" in by_option
    assert "RUN is one and --run is other; name one" in complaint(
        project, command, "one", "--run", "other"
    )


def test_a_value_of_the_file_is_named_by_its_setting_whatever_the_flags(project: Path) -> None:
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace("slots = 1", "slots = 0"))
    assert "for `tool.evo.slots`" in complaint(project, "run", "--trials", "3")


def test_a_setting_that_does_not_exist_and_a_file_that_is_not_toml(project: Path) -> None:
    settings = project / "pyproject.toml"
    before = settings.read_text()
    settings.write_text(before.replace("slots", "slotz"))
    assert "has no setting `slotz`; did you mean `slots`?" in complaint(project, "run")
    settings.write_text(before + "[tool.evo")
    assert "pyproject.toml can't be read" in complaint(project, "status")


def test_a_baseline_that_crashes_is_told_with_its_last_words(tmp_path: Path) -> None:
    made = make_project(tmp_path, script="print('begins')\nraise ValueError('no towns')\n")
    said = complaint(made, "run", "--plain", "--trials", "3")
    assert "the baseline has no score" in said
    assert "ValueError: no towns" in said
    assert "begins" in evo(made, "log", "0").stdout
    assert "failed: the baseline has no score" in evo(made, "status").stdout.replace("\n", " ")


def test_a_patch_that_is_not_text(project: Path) -> None:
    (project / "idea.patch").write_bytes(b"--- a\n+++ b\n\xff")
    assert "idea.patch isn't text" in complaint(project, "enqueue", "idea.patch")
    assert not (project / "population" / "main").exists()


def test_a_file_to_measure_that_is_not_text_or_not_python(project: Path) -> None:
    (project / "binary.py").write_bytes(b"\xff\x00")
    assert "isn't text" in complaint(project, "eval", "binary.py")
    (project / "half.py").write_text("def f(:\n")
    assert "can't be measured: it isn't Python: line 1" in complaint(project, "eval", "half.py")


# What lies on the disk


def test_a_run_of_a_newer_evo_is_left_alone(begun: Path) -> None:
    with duckdb.connect(str(begun / DATABASE)) as connection:
        connection.execute("UPDATE meta SET schema_version = 999")
    assert "has schema version 999, and this evo knows" in complaint(begun, "run", "--trials", "1")
    shutil.copyfile(begun / DATABASE, begun / PUBLISHED)
    assert "has schema version 999" in complaint(begun, "best")


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes({
        "garbage": b"not a database" * 4000,
        "half": data[: len(data) // 2],
        "short": data[:100],
    }[how])  # fmt: skip


@pytest.mark.parametrize("how", ["half", *rarely("garbage", "short")])
def test_a_damaged_archive_is_told_and_mended_by_the_published_copy(begun: Path, how: str) -> None:
    damage(begun / DATABASE, how)
    before = (begun / DATABASE).read_bytes()
    said = complaint(begun, "run", "--plain", "--trials", "1")
    assert "run.duckdb can't be" in said or "published archive" in said
    assert (begun / DATABASE).read_bytes() == before  # for whoever can save more of it
    shutil.copyfile(begun / PUBLISHED, begun / DATABASE)  # just as it says
    run(begun, 2)
    assert rows(begun, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(6,)]


@pytest.mark.parametrize("how", ["garbage", *rarely("half")])
def test_a_damaged_published_copy_is_told_and_replaced_by_the_next_trial(
    begun: Path, how: str
) -> None:
    damage(begun / PUBLISHED, how)
    assert "archive.duckdb" in complaint(begun, "best")
    run(begun, 1)
    assert rows(begun, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(5,)]


def test_a_torn_write_ahead_log_loses_no_trial_that_was_published(project: Path) -> None:
    engine = start_engine(project)
    wait_until((project / PUBLISHED).exists, "something is published")
    wait_until(lambda: len(rows(project, "FROM trials WHERE seq IS NOT NULL")) > 3, "four trials")
    engine.kill()
    engine.wait()
    [(before,)] = rows(project, "SELECT count(*) FROM trials WHERE seq IS NOT NULL")
    log = project / f"{DATABASE}.wal"
    log.write_bytes((log.read_bytes() if log.exists() else b"")[:-7] + b"torn")
    done = evo(project, "run", "--plain", "--trials", "1", check=False)
    if done.returncode:  # told, in one line, with what to do
        assert "move it and its .wal away" in done.stderr
        log.unlink()
        shutil.copyfile(project / PUBLISHED, project / DATABASE)
        run(project, 1)
    [(after,)] = rows(project, "SELECT count(*) FROM trials WHERE seq IS NOT NULL")
    assert after >= before + 1


def test_a_repository_with_a_missing_object_is_told_with_what_to_do(begun: Path) -> None:
    blob = git(begun, "rev-parse", "refs/variants/1:script.py").strip()
    (begun / "population/main/variants.git/objects" / blob[:2] / blob[2:]).unlink()
    said = complaint(begun, "run", "--plain", "--trials", "1")
    assert "missing" in said or blob in said
    assert "variants.bundle" in said
    with pytest.raises(AssertionError, match="error: "):
        evo(begun, "checkout", "1")
    repository = begun / "population" / "main" / "variants.git"
    shutil.rmtree(repository)
    bundle = str(begun / "archive" / "main" / "variants.bundle")
    subprocess.run(["git", "clone", "-q", "--mirror", bundle, str(repository)], check=True)
    run(begun, 1)


PLAIN = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search",
     "--inh-caps=-dac_override,-dac_read_search"]
    if os.geteuid() == 0
    else []
)  # fmt: skip
"""Before a command: root without its right to write anywhere."""


@pytest.mark.skipif(bool(PLAIN) and shutil.which("setpriv") is None, reason="root may do anything")
@pytest.mark.parametrize("folder", ["population/main", *rarely("population", "archive/main")])
def test_a_folder_that_can_not_be_written(begun: Path, folder: str) -> None:
    (begun / folder).chmod(0o500)
    words = [*PLAIN, sys.executable, "-m", "evo", "run", "--plain", "--trials", "1"]
    if folder == "population":
        words += ["--run", "other"]
    done = subprocess.run(words, cwd=begun, capture_output=True, text=True, check=False)
    (begun / folder).chmod(0o700)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Permission denied" in done.stderr
    assert done.stderr.count("\n") == 1
    run(begun, 1)
    [(count, different)] = rows(begun, "SELECT count(seq), count(DISTINCT seq) FROM trials")
    assert count == different >= 5


def test_a_file_where_a_folder_should_be(project: Path) -> None:
    (project / "archive").write_text("")
    said = complaint(project, "run", "--plain", "--trials", "3")
    assert "archive" in said
    (project / "archive").unlink()
    run(project, 2)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=False
        ).returncode
    ):
        pytest.skip("a disk can't be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_engine_and_room_is_all_that_it_needs(
    small_disk: Path,
) -> None:
    project = make_project(small_disk, script=SCRIPT.replace("{seconds}", "0.2"))
    run(project, 3)
    engine = start_engine(project)
    wait_until(lambda: len(rows(project, "FROM trials WHERE seq IS NOT NULL")) > 5, "it goes on")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    assert engine.wait(60) == 2
    said = evo(project, "status", check=False)
    assert "failed: " in said.stdout, said.stdout + said.stderr
    assert "space" in said.stdout.lower()
    [(before,)] = rows(project, "SELECT count(*) FROM trials WHERE seq IS NOT NULL")
    assert before > 5
    full = evo(project, "run", "--plain", "--trials", "1", check=False)
    assert (full.returncode, full.stderr.count("\n")) == (2, 1), full.stderr

    filler.unlink()
    run(project, 3)
    trials = rows(project, "SELECT id, seq FROM trials WHERE seq IS NOT NULL ORDER BY id")
    assert len(trials) >= before + 3
    assert len({seq for _, seq in trials}) == len(trials)
    git(project, "fsck", "--full")
    [(variants,)] = rows(project, "SELECT count(*) FROM variants")
    assert len(git(project, "for-each-ref", "refs/variants").splitlines()) == variants
