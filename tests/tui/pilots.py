"""Driving the real app: a pilot that waits for what it wants to see, and the screen as text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from textual.pilot import Pilot

from evo.tui.app import RunApp
from evo.tui.dialogs import LeaveHow
from evo.tui.panes.lineage import READ_SECONDS
from evo.tui.views.place import Place
from evo.tui.views.state import State

PATIENCE_SECONDS = 60.0
READING = ("detail", "table", "ablation", "ask", "relations", "program", "goto")
"""Groups of workers that come to an end by themselves."""
NOW = 1001.0
"""By the app's clock; heartbeats in tests are of second 1000."""


@dataclass(frozen=True)
class Driver:
    """A person at the keys."""

    app: RunApp
    pilot: Pilot[LeaveHow]

    def text(self) -> str:
        """The screen as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.quiet()

    async def type(self, text: str) -> None:
        names = {" ": "space", ":": "colon", "<": "less_than_sign", "-": "minus", ".": "full_stop"}
        await self.press(*(names.get(one, one) for one in text))

    async def see(self, words: str) -> None:
        """Waits until words are on the screen."""
        await self.until(lambda: words in self.text(), f"{words!r} is on\n{self.text()}")

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            await self.pilot.pause(0.02)

    async def quiet(self) -> None:
        """Waits until nothing is read or drawn any more, but for the look every second."""
        screen = self.app._run_screen()
        if screen is not None and screen.current == "lineage":
            await self.pilot.pause(READ_SECONDS + 0.02)  # it waits for the cursor to rest
        else:
            await self.pilot.pause()
        await self.until(
            lambda: all(one.is_finished for one in self.app.workers if one.group in READING),
            "all is read",
        )
        await self.pilot.pause()
        await self.pilot.pause()

    async def goto(self, name: str) -> None:
        screen = self.app._run_screen()
        assert screen is not None
        await screen.action_goto(name)
        await self.quiet()


def drive(
    place: Place,
    script: Callable[[Driver], Awaitable[None]],
    *,
    size: tuple[int, int] = (120, 40),
    state: State | None = None,
    clock: Callable[[], float] = lambda: NOW,
) -> RunApp:
    """Runs a script on the real app, without a terminal."""

    async def run() -> RunApp:
        app = RunApp(place, state or State(), clock=clock)
        async with app.run_test(size=size, notifications=True) as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: app.pulse is not None, "the files are looked at")
            if place.archive.exists():
                known = lambda: app.snapshot is not None or bool(app.trouble)  # noqa: E731
                await driver.until(known, "the archive is read")
            await driver.pilot.pause()
            await script(driver)
        return app

    return asyncio.run(run())
