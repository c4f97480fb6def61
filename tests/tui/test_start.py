"""The start screen: every run of a project, with what became of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from evo.engine.heartbeat import Phase
from evo.tui.dialogs import Help
from evo.tui.start import RunRows, StartApp
from evo.tui.views.place import Place
from evo.tui.views.runs import find, pieces, summarise
from tests.tui.runs import beat, make_run

CLOCK = 2_000_000_000.0


def several(project: Path) -> list[Place]:
    """One that works, an archive alone, and one that can't be read."""
    first = make_run(project)
    beat(first, Phase.SEARCHING)
    shutil.copytree(first.archive_folder, project / "archive" / "old")
    (project / "archive" / "torn").mkdir()
    (project / "archive" / "torn" / "archive.duckdb").write_bytes(b"not a database")
    for name, age in (("main", 60), ("old", 30 * 86400)):
        path = project / "archive" / name / "archive.duckdb"
        os.utime(path, (CLOCK - age, CLOCK - age))
    return find(project / "population", project / "archive", project / "program.md", "main")


def test_every_run_is_found_and_one_that_is_torn_says_why(tmp_path: Path) -> None:
    found = {one.place.name: one for one in map(summarise, several(tmp_path))}
    assert list(found) == ["main", "old", "torn"]
    assert (found["main"].alive, found["old"].alive) == (True, False)
    assert found["old"].place.folder is None
    assert (found["main"].place.flag, found["old"].place.flag) == ("", " --run old")
    assert found["main"].best == 1.861
    assert found["main"].scores[0] >= found["main"].scores[-1]
    assert "can't be read" in found["torn"].trouble
    line = "".join(text for text, _ in pieces(found["old"], CLOCK, 100))
    assert "30 d ago" in line
    assert "1.8610" in line


def test_a_run_is_chosen_with_the_keys_and_live_ones_come_first(tmp_path: Path) -> None:
    async def run() -> StartApp:
        app = StartApp(several(tmp_path), "", clock=lambda: CLOCK)
        async with app.run_test(size=(100, 24)) as pilot:
            rows = app.query_one(RunRows)
            for _ in range(500):
                await pilot.pause(0.02)
                if rows.count() == 3:
                    break
            await pilot.press("question_mark")
            assert isinstance(app.screen, Help)
            await pilot.press("escape")
            names = [one.place.name for one in rows.summaries]
            assert names == ["main", "old", "torn"]
            await pilot.press("j", "enter")
        return app

    chosen = asyncio.run(run()).return_value
    assert chosen is not None
    assert chosen.name == "old"
