"""A cell's scratch folder: measured whatever is in it, and gone whatever was done to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evo.sandbox import scratch


def test_a_folder_within_its_bounds_is_no_excess(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    assert scratch.excess(tmp_path, 4) == ""


def test_what_is_too_large_is_told_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(bytes(3 << 20))
    assert scratch.excess(tmp_path, 2) == "its scratch folder held 3 MB; 2 are allowed"


def test_a_sparse_file_counts_as_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 1 << 40)
    assert scratch.excess(tmp_path, 1) == ""


def test_a_link_isnt_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/usr")
    assert scratch.excess(tmp_path, 1) == ""


def test_a_folder_that_is_too_deep_is_an_excess_and_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    dig = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')"
    subprocess.run([sys.executable, "-S", "-c", dig], cwd=folder, check=True)
    assert "too deep" in scratch.excess(folder, 100)
    scratch.remove(folder)
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into everything")
def test_a_closed_folder_is_an_excess(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0o300)
    assert "can't be looked into" in scratch.excess(tmp_path, 1)


def test_a_closed_folder_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    (folder / "closed" / "deeper").mkdir(parents=True)
    (folder / "closed").chmod(0)
    scratch.remove(folder)
    assert not folder.exists()


def test_what_a_killed_referee_left_is_swept_away_and_what_lives_stays(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from evo.sandbox import scratch
dead = os.fork()
if not dead:
    os._exit(0)
os.waitpid(dead, 0)
here = Path(sys.argv[1])
left = here / f"{scratch._prefix()}{dead}-abc"
other = here / f"evo-cell-1-{dead}-abc"
mine = here / f"{scratch._prefix()}{os.getppid()}-abc"
for folder in (left, other, mine):
    folder.mkdir()
made = scratch.make()
print(left.exists(), other.exists(), mine.exists(), made.exists())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True", "True", "True"]
