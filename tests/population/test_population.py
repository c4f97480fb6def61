"""The git store, with real git: what is kept, what git says of it, and what damage looks like."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evo.errors import PopulationError
from evo.population.message import commit_message
from evo.population.population import CHAMPION, Population

WHEN = datetime(2025, 3, 1, 12, 0, 0)
NAME = "train.py"


def git(path: Path, *arguments: str) -> str:
    command = ["git", "-C", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(population: Population, variant: int, *parents: str, source: str = "") -> str:
    return population.commit(
        source or f"X = {variant}\n",
        parents=parents,
        message=commit_message(
            title=f"Title {variant}",
            rationale="Why.",
            variant=variant,
            operator="tune",
            parents=(),
            run="main",
        ),
        when=WHEN,
        variant=variant,
    )


def object_file(path: Path, sha: str) -> Path:
    return path / "objects" / sha[:2] / sha[2:]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "variants.git"


@pytest.fixture
def population(path: Path) -> Population:
    return Population.create(path, NAME)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_as_it_was(population: Population, text: str) -> None:
    assert population.source(commit(population, 0, source=text or "\r\n")) == (text or "\r\n")


def test_equal_arguments_give_the_equal_commit(population: Population, tmp_path: Path) -> None:
    other = Population.create(tmp_path / "other.git", NAME)
    assert commit(population, 0) == commit(population, 0) == commit(other, 0)


def test_a_commit_is_what_git_makes_of_the_same_data(population: Population, path: Path) -> None:
    root = commit(population, 0)
    assert git(path, "log", "-1", "--format=%an <%ae> %cn %at %ai", root) == (
        "evo <evo@localhost> evo 1740830400 2025-03-01 12:00:00 +0000"
    )
    assert git(path, "ls-tree", "-r", "--name-only", root) == NAME
    assert git(path, "rev-parse", "refs/variants/0") == root
    assert git(path, "fsck", "--full", "--strict") == ""


def test_an_aware_time_means_the_same(population: Population) -> None:
    one, two = (
        population.commit("x\n", parents=[], message="m\n", when=when, variant=0)
        for when in (WHEN, WHEN.replace(tzinfo=UTC))
    )
    assert one == two


def test_two_parents_make_a_merge_commit(population: Population, path: Path) -> None:
    root = commit(population, 0)
    one, two = commit(population, 1, root), commit(population, 2, root)
    child = commit(population, 3, one, two)
    assert git(path, "log", "-1", "--format=%P", child).split() == [one, two]


def test_the_editable_file_may_be_in_a_folder(tmp_path: Path) -> None:
    population = Population.create(tmp_path / "v.git", "src/deep/train.py")
    sha = commit(population, 0, source="x = 1\n")
    assert population.source(sha) == "x = 1\n"
    assert git(tmp_path / "v.git", "ls-tree", "-r", "--name-only", sha) == "src/deep/train.py"
    assert git(tmp_path / "v.git", "fsck", "--strict") == ""


@pytest.mark.parametrize("name", ["/etc/passwd", "../train.py", ""])
def test_a_file_outside_of_the_project_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PopulationError, match="named from the project folder"):
        Population.create(tmp_path / "v.git", name)


def test_a_message_ends_with_trailers_that_git_reads(population: Population, path: Path) -> None:
    message = commit_message(
        title="A title\nof \x1b[31mtwo lines " + "and more " * 20,
        rationale="Evo-Run: forged\n\n" + "word " * 40 + "\n\nLast.",
        variant=17,
        operator="crossover",
        parents=(3, 9),
        run="main",
        subject="deeper",
    )
    lines = message.splitlines()
    assert lines[0].startswith("A title of [31mtwo lines and more")
    assert lines[1] == ""
    assert max(map(len, lines)) <= 72
    sha = population.commit("x\n", parents=[], message=message, when=WHEN, variant=17)
    assert git(path, "log", "-1", "--format=%(trailers:only)", sha).splitlines() == [
        "Evo-Variant: 17",
        "Evo-Operator: crossover",
        "Evo-Parents: 3 9",
        "Evo-Run: main",
        "Evo-Subject: deeper",
    ]
    assert git(path, "log", "-1", "--format=%s", sha) == lines[0]


def test_the_champion_is_a_branch_with_a_reflog(population: Population, path: Path) -> None:
    root = commit(population, 0)
    assert population.champion() is None
    population.set_champion(root, "resumed")
    child = commit(population, 1, root)
    population.set_champion(child, "better by\n0.01", WHEN)
    population.set_champion(child, "resumed")
    assert population.champion() == child
    assert git(path, "log", "--format=%s") == "Title 1\nTitle 0"
    assert git(path, "reflog", "champion", "--format=%gs") == "better by 0.01\nresumed"


def test_a_clone_has_the_champion_checked_out(population: Population, tmp_path: Path) -> None:
    population.set_champion(commit(population, 0, source="X = 5\n"), "first")
    git(tmp_path, "clone", "-q", str(tmp_path / "variants.git"), "clone")
    assert (tmp_path / "clone" / NAME).read_text() == "X = 5\n"


def test_garbage_collection_loses_no_variant(population: Population, path: Path) -> None:
    shas = [commit(population, number) for number in range(5)]
    population.set_champion(shas[1], "first")
    git(path, "gc", "-q", "--prune=now", "--aggressive")
    assert not list((path / "refs" / "variants").glob("*"))
    assert [population.source(sha) for sha in shas] == [f"X = {number}\n" for number in range(5)]
    assert population.champion() == shas[1]
    shas.append(commit(population, 5, shas[4]))
    population.set_champion(shas[5], "second")
    population.check()
    assert population.source(shas[5]) == "X = 5\n"


def test_a_bundle_holds_everything_and_replaces_the_old_one(
    population: Population, tmp_path: Path
) -> None:
    root = commit(population, 0)
    population.set_champion(root, "first")
    bundle = tmp_path / "archive" / "main" / "variants.bundle"
    population.bundle(bundle)
    child = commit(population, 1, root)
    population.bundle(bundle)
    assert [file.name for file in bundle.parent.iterdir()] == ["variants.bundle"]
    git(tmp_path, "clone", "-q", "--mirror", str(bundle), "restored.git")
    restored = Population.open(tmp_path / "restored.git", NAME)
    restored.check()
    assert restored.source(child) == "X = 1\n"
    assert restored.champion() == root


def test_what_a_killed_process_leaves_is_written_over(population: Population, path: Path) -> None:
    """Locks of the refs, a temporary object, and a commit without its ref."""
    root = commit(population, 0)
    (path / "refs" / "variants" / "0").unlink()
    (path / "refs" / "variants" / "0.lock").write_text("half a l")
    (path / f"{CHAMPION}.lock").write_text("")
    (path / "objects" / "objabcdef").write_bytes(b"x")
    again = Population.open(path, NAME)
    again.check()
    assert commit(again, 0) == root
    again.set_champion(root, "first")
    assert git(path, "rev-parse", "refs/variants/0", "champion").split() == [root, root]


def test_a_process_killed_while_it_commits_leaves_a_sound_repository(path: Path) -> None:
    Population.create(path, NAME)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.population.test_population import *\n"
        "population = Population.open(Path(sys.argv[1]), NAME)\n"
        "for number in range(100000):\n"
        "    sha = commit(population, number)\n"
        "    population.set_champion(sha, 'next')\n"
        "    print(number, sha, flush=True)\n"
    )
    acknowledged: list[str] = []
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        acknowledged += [child.stdout.readline() for _ in range(20)]
        child.kill()
        child.wait()
        child.stdout.close()
        population = Population.open(path, NAME)
        population.check()
        for line in acknowledged:
            number, sha = line.split()
            assert population.source(sha) == f"X = {number}\n"


def test_an_object_that_a_power_cut_emptied_is_written_again(
    population: Population, path: Path
) -> None:
    sha = commit(population, 0)
    for name in (sha, git(path, "rev-parse", f"{sha}:{NAME}")):
        object_file(path, name).unlink()
        object_file(path, name).touch()
    assert commit(population, 0) == sha
    assert population.source(sha) == "X = 0\n"


@pytest.mark.parametrize("damage", ["gone", "empty", "other bytes", "another object"])
def test_a_missing_or_damaged_object_is_named(
    population: Population, path: Path, damage: str
) -> None:
    sha = commit(population, 0)
    blob = git(path, "rev-parse", f"{sha}:{NAME}")
    file = object_file(path, blob)
    file.chmod(0o644)
    if damage == "gone":
        file.unlink()
        with pytest.raises(PopulationError, match=f"missing blob {blob}"):
            population.check()
    elif damage == "another object":
        file.write_bytes(object_file(path, sha).read_bytes())
    else:
        file.write_bytes(b"" if damage == "empty" else b"\x78\x01nonsense")
    with pytest.raises(PopulationError, match=blob) as caught:
        population.source(sha)
    assert "\n" not in str(caught.value)


def test_a_missing_parent_is_refused_before_anything_is_written(population: Population) -> None:
    with pytest.raises(PopulationError, match="a" * 40):
        commit(population, 1, "a" * 40)
    with pytest.raises(PopulationError, match="nonsense"):
        population.source("nonsense")
    with pytest.raises(PopulationError, match="b" * 40):
        population.set_champion("b" * 40, "?")


@pytest.mark.parametrize("content", ["", "nonsense\n", "0" * 39 + "\n"])
def test_a_corrupted_ref_is_found_and_the_champion_can_be_set_again(
    population: Population, path: Path, content: str
) -> None:
    root = commit(population, 0)
    population.set_champion(root, "first")
    (path / CHAMPION).write_text(content)
    with pytest.raises(PopulationError, match="champion"):
        population.champion()
    with pytest.raises(PopulationError, match="champion"):
        population.check()
    population.set_champion(root, "again")
    population.check()
    (path / "refs" / "variants" / "0").write_text(content)
    with pytest.raises(PopulationError, match="refs/variants/0"):
        population.check()


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    git(tmp_path, "init", "-q", "work")
    for name, told in (("nowhere", "none"), (".", "none"), ("work", "has a work tree")):
        with pytest.raises(PopulationError, match=told):
            Population.open(tmp_path / name, NAME)
    with pytest.raises(PopulationError, match="must be empty"):
        Population.create(tmp_path, NAME)


def test_a_bundle_of_nothing_or_to_nowhere_is_explained(
    population: Population, tmp_path: Path
) -> None:
    with pytest.raises(PopulationError, match="bundle"):
        population.bundle(tmp_path / "x.bundle")
    assert not (tmp_path / ".x.bundle.new").exists()
    commit(population, 0)
    (tmp_path / "file").touch()
    with pytest.raises(PopulationError, match="can't be written"):
        population.bundle(tmp_path / "file" / "x.bundle")


def test_a_bundle_that_does_not_fit_leaves_the_old_one_and_no_part_of_itself(
    population: Population, path: Path, tmp_path: Path
) -> None:
    """A limit of the size of files stands for the end of the disk."""
    commit(population, 0)
    bundle = tmp_path / "b" / "variants.bundle"
    population.bundle(bundle)
    before = bundle.read_bytes()
    commit(population, 1)
    program = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from evo.errors import PopulationError\n"
        "from evo.population.population import Population\n"
        "population = Population.open(Path(sys.argv[1]), 'train.py')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n    population.bundle(Path(sys.argv[2]))\n"
        "except PopulationError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(bundle)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "can't be written" in done.stdout
    assert [file.name for file in bundle.parent.iterdir()] == [bundle.name]
    assert bundle.read_bytes() == before


def test_a_folder_that_can_not_be_written_is_explained(population: Population, path: Path) -> None:
    root = commit(population, 0)
    if os.getuid() == 0:  # permissions don't hold the superuser: a file stands in the way
        (path / "refs" / "variants" / "0").unlink()
        (path / "refs" / "variants").rmdir()
        (path / "refs" / "variants").touch()
        (path / "logs").touch()
    else:
        for folder in ("objects", "refs/variants", "."):
            (path / folder).chmod(0o555)
    with pytest.raises(PopulationError, match="can't be committed"):
        commit(population, 1)
    with pytest.raises(PopulationError, match="can't be noted"):
        population.set_champion(root, "first")


def test_git_variables_of_another_repository_do_not_matter(
    population: Population, tmp_path: Path
) -> None:
    """As when evo is run by a hook: git would take that repository."""
    root = commit(population, 0)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from evo.population.population import Population\n"
        "population = Population.open(Path(sys.argv[1]), 'train.py')\n"
        "population.check()\npopulation.bundle(Path(sys.argv[2]))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "variants.git"), str(tmp_path / "b")],
        env={**os.environ, "GIT_DIR": str(tmp_path / "elsewhere")},
        check=True,
    )
    assert root in git(tmp_path, "bundle", "list-heads", "b")
