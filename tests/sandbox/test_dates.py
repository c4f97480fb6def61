"""When files were last read: settled before cells read them, so that none tells another by it."""

import os
from pathlib import Path

import pytest

from evo.sandbox import dates
from evo.sandbox.plan import Tier
from evo.sandbox.sandbox import Limits, TierSandbox
from evo.sandbox.walls import survey

LONG_AGO = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files and a link, all of which were changed after they were read last."""
    for number in range(8):
        (tmp_path / "deeper").mkdir(exist_ok=True)
        (tmp_path / "deeper" / f"file{number}").write_text("text")
    (tmp_path / "deeper" / "link").symlink_to("file0")
    os.mkfifo(tmp_path / "deeper" / "fifo")
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        path.chmod(0o755, follow_symlinks=False) if not path.is_symlink() else None
        os.utime(path, (LONG_AGO, LONG_AGO + 1), follow_symlinks=False)
    tmp_path.chmod(0o755)
    if os.statvfs(tmp_path).f_flag & (os.ST_NOATIME | os.ST_RDONLY):
        pytest.skip("this file system doesn't note when a file is read")
    return tmp_path


def read_at(path: Path) -> float:
    return path.lstat().st_atime


def test_all_that_has_a_date_is_settled(folder: Path) -> None:
    dates.settle(str(folder))
    after = {path: read_at(path) for path in folder.rglob("*")}
    assert all(date > LONG_AGO for path, date in after.items() if path.name != "fifo")
    for path in folder.rglob("file*"):
        path.read_text()
    (folder / "deeper" / "link").read_text()
    os.listdir(folder / "deeper")  # noqa: PTH208
    assert {path: read_at(path) for path in folder.rglob("*")} == after


def test_it_is_done_once_and_again_where_something_was_added(folder: Path, tmp_path: Path) -> None:
    stamps, paths = tmp_path / "cache", [str(folder / "deeper")]
    one = folder / "deeper" / "file1"

    def is_settled() -> bool:
        os.utime(one, (LONG_AGO, LONG_AGO + 1))
        dates.settle_once(paths, stamps)
        return read_at(one) > LONG_AGO

    assert [is_settled(), is_settled()] == [True, False]
    (folder / "deeper" / "new").write_text("text")
    assert [is_settled(), is_settled()] == [True, False]
    for stamp in stamps.iterdir():
        os.utime(stamp, (LONG_AGO, LONG_AGO))
    assert [is_settled(), is_settled()] == [True, False]


def test_where_it_cant_be_noted_it_is_done_every_time(folder: Path, tmp_path: Path) -> None:
    one = folder / "deeper" / "file1"
    for _ in range(2):
        os.utime(one, (LONG_AGO, LONG_AGO + 1))
        dates.settle_once([str(folder)], one / "no folder")
        assert read_at(one) > LONG_AGO


SENDER = """
import os
for number, bit in enumerate("10110010"):
    if bit == "1":
        open(os.path.join(place, f"file{number}")).read()
"""
RECEIVER = """
import os
times = [os.stat(os.path.join(place, f"file{number}")).st_atime for number in range(8)]
print("".join("01"[time > 1_000_000_000] for time in times))
"""


@pytest.mark.skipif(
    not any(found.good for found in survey((Tier.LANDLOCK,), all_of_them=True)),
    reason="no landlock here",
)
@pytest.mark.parametrize(
    ("settled", "received"), [(False, "10110010"), (True, "11111111")], ids=["open", "settled"]
)
def test_a_cell_tells_the_next_by_what_it_read_unless_dates_are_settled(
    folder: Path, settled: bool, received: str
) -> None:
    place = folder / "deeper"
    if settled:
        dates.settle(str(place))
    sandbox = TierSandbox(Tier.LANDLOCK, [str(place)])
    for script in (SENDER, RECEIVER):
        cell = sandbox.start(
            ["python", "-c", f"place = {str(place)!r}\n{script}"],
            limits=Limits(memory_mb=500),
            threads=1,
            merge_output=True,
        )
        cell.wait(30)
        cell.end(forget=True)
    assert cell.log.tail().strip() == received
