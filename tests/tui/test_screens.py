"""Every screen at three sizes, as text, beside what it was when somebody last looked at it.

`EVO_WRITE_SCREENS=1 pytest tests/tui/test_screens.py` writes them anew; look at what changed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evo.engine import curves
from evo.engine.heartbeat import Phase
from evo.nouns import CurvePoint
from evo.tui.views.place import Place
from tests.tui.pilots import Driver, drive
from tests.tui.runs import beat, make_run, running_trial

FOLDER = Path(__file__).parent / "screens"
SIZES = ((80, 24), (120, 40), (250, 70))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run at work."""
    made = make_run(tmp_path_factory.mktemp("screens"))
    assert made.folder is not None
    for trial in (10, 11):
        (made.folder / "trials" / str(trial)).mkdir(parents=True)
        for second in range(1, 5):
            loss = 4.0 - 0.12 * second - 0.01 * trial
            point = CurvePoint(float(second), second * 6, loss, second * 12_000, 640.0)
            curves.append(made.folder, trial, point)
    running = (running_trial(), running_trial(11, 4, 0.75))
    beat(made, Phase.SEARCHING, running=running, trials_wanted=40, seconds_left=900.0)
    return made


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_screen_looks_as_it_did(place: Place, size: tuple[int, int]) -> None:
    found: dict[str, str] = {}

    async def script(driver: Driver) -> None:
        await driver.see("queued")
        for name in ("overview", "lineage", "table", "ablation", "ask", "program"):
            await driver.goto(name)
            if name == "ask":
                await driver.press("enter")
                await driver.see("rows in")
            found[name] = driver.text()
        await driver.press("s")
        found["steer"] = driver.text()
        await driver.press("escape", "q")
        found["leave"] = driver.text()
        await driver.press("escape")
        await driver.goto("lineage")
        await driver.press("enter", "n", "n", "n")
        found["variant"] = driver.text()

    drive(place, script, size=size)
    for name, text in found.items():
        lines = text.splitlines()
        assert len(lines) == size[1]
        path = FOLDER / f"{name}-{size[0]}x{size[1]}.txt"
        if os.environ.get("EVO_WRITE_SCREENS"):
            path.write_text(text + "\n", "utf-8")
        assert text + "\n" == path.read_text("utf-8"), f"{path.name} looks otherwise now"
