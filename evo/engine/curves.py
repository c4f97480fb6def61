"""Live curves: one line for every report of a running trial, for whoever looks on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from evo.nouns import CurvePoint

FILE = "curve.jsonl"
"""In population/RUN/trials/TRIAL, beside what the trial printed."""


def begin(run_folder: Path, trial: int) -> None:
    """Forgets what an earlier attempt reported."""
    _path(run_folder, trial).unlink(missing_ok=True)


def append(run_folder: Path, trial: int, point: CurvePoint) -> None:
    """Adds a report.

    Raises:
        OSError: It can't be written.
    """
    with _path(run_folder, trial).open("ab") as file:
        file.write(msgspec.json.encode(point) + b"\n")


def read(run_folder: Path, trial: int) -> tuple[CurvePoint, ...]:
    """What a trial has reported so far; a line that is half written is left out."""
    try:
        text = _path(run_folder, trial).read_bytes()
    except OSError:
        return ()
    points = []
    for line in text.splitlines():
        try:
            points.append(msgspec.json.decode(line, type=CurvePoint))
        except msgspec.MsgspecError:
            continue
    return tuple(points)


def _path(run_folder: Path, trial: int) -> Path:
    return run_folder / "trials" / str(trial) / FILE
