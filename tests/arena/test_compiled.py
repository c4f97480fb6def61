"""What compilers leave behind, packed and unpacked; and what a waiting cell loads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evo.arena import compiled


def caches(folder: Path) -> dict[str, str]:
    return {name: str(folder / name.lower()) for name in compiled.CACHES}


def test_what_is_packed_is_laid_out_again_elsewhere(tmp_path: Path) -> None:
    ours, theirs = caches(tmp_path / "a"), caches(tmp_path / "b")
    deep = Path(ours["TRITON_CACHE_DIR"], "x", "y")
    deep.mkdir(parents=True)
    (deep / "kernel.cubin").write_bytes(b"\x00\x01")
    (deep / "link").symlink_to("/etc/passwd")
    compiled.lay(compiled.gather(ours), theirs)
    found = [path for path in (tmp_path / "b").rglob("*") if path.is_file()]
    assert found == [Path(theirs["TRITON_CACHE_DIR"], "x", "y", "kernel.cubin")]
    assert found[0].read_bytes() == b"\x00\x01"


def test_nothing_and_too_much_are_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = caches(tmp_path)
    assert compiled.gather(ours) == b""
    monkeypatch.setattr(compiled, "MOST_BYTES", 100)
    for name in compiled.CACHES:
        Path(ours[name]).mkdir()
        Path(ours[name], "file").write_bytes(bytes(30))
    assert compiled.gather(ours) == b""


LOADED = """
import os, sys
from evo.arena.cell import load_ahead
load_ahead(int(sys.argv[1]))
print("torch._inductor.compile_fx" in sys.modules)
"""


@pytest.mark.torch
@pytest.mark.parametrize(
    ("gpu", "job", "loaded"),
    [
        pytest.param("0", b"", "True", marks=pytest.mark.slow),
        ("0", b"job", "False"),
        ("", b"", "False"),
    ],
)
def test_what_compiling_needs_is_loaded_while_a_gpus_cell_waits(
    gpu: str, job: bytes, loaded: str
) -> None:
    reading, writing = os.pipe()
    os.write(writing, job)
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(reading)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": gpu},
        pass_fds=[reading],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    os.close(reading)
    os.close(writing)
    assert done.stdout.strip() == loaded
