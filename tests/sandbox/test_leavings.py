"""Texts out of a folder that somebody else has filled."""

import os
from pathlib import Path

from evo.sandbox import leavings


def test_plain_texts_are_read_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "plain").write_text("é")
    (folder / "link").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", folder / "hard")
    os.mkfifo(folder / "pipe")
    (folder / "inner").mkdir()
    (folder / "bytes").write_bytes(b"\xff")
    (folder / "long").write_text("x" * (leavings.MOST_BYTES + 1))
    names = ("plain", "link", "hard", "pipe", "inner", "bytes", "gone", "../secret/", "long")
    found = leavings.read(str(folder), names)
    assert found.pop("long") == "x" * leavings.MOST_BYTES
    assert found == {"plain": "é"}
