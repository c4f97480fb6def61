"""How quick and how small the terminal interface is, over a run of many variants.

First paint is from the start of the process to the first picture with the champion in it, in a real
terminal; the rest is measured in this process, with the app's own driver for tests. On a machine
that others use too, the processor time beside each says what it would be without them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evo.engine import curves
from evo.engine.heartbeat import Phase, RunningTrial
from evo.nouns import CurvePoint
from evo.tui.app import RunApp
from evo.tui.views.place import Place
from evo.tui.views.state import State
from tests.tui.runs import beat, make_large
from tests.tui.terminals import Terminal

TRIALS = 8
SIZE = (120, 40)


def report_live(place: Place, step: int) -> None:
    """Eight running trials report once more."""
    assert place.folder is not None
    running = []
    for trial in range(TRIALS):
        (place.folder / "trials" / str(trial)).mkdir(parents=True, exist_ok=True)
        point = CurvePoint(step / 10, step, 4.0 - step / 1000, step * 2048, 700.0)
        curves.append(place.folder, trial, point)
        running.append(
            RunningTrial(trial=trial, variant=trial + 1, title="LR 0.1 -> 0.2", share=0.5, loss=3.0)
        )
    beat(place, Phase.SEARCHING, at=time.time(), running=tuple(running), slots=TRIALS)


def first_paint(project: Path) -> tuple[float, float]:
    """Seconds until `evo tui` shows the champion in a real terminal, and those of a processor."""
    began = time.perf_counter()
    with Terminal(project, "tui", "main", size=SIZE) as screen:
        screen.see("better than the baseline")
        used = psutil.Process(screen.process.pid).cpu_times()
        return time.perf_counter() - began, used.user + used.system


async def walk(place: Place, keys: int, refreshes: int) -> dict[str, float]:
    """Key to paint, refresh after a publish, memory over refreshes, and idle CPU."""
    app, found = RunApp(place, State()), dict[str, float]()
    async with app.run_test(size=SIZE) as pilot:
        while app.snapshot is None:
            await pilot.pause(0.05)
        await pilot.press("2")
        await pilot.pause(0.5)
        delays, used = [], []
        for number in range(keys):
            if number % 10 == 0:
                report_live(place, number)
            began, cpu = time.perf_counter(), time.process_time()
            await pilot.press("j")
            app.screen._compositor.render_strips()
            delays.append(1000 * (time.perf_counter() - began))
            used.append(1000 * (time.process_time() - cpu))
        found["key, CPU ms"] = statistics.median(used)
        found["key, median ms"] = statistics.median(delays)
        found["key, 95 % ms"] = statistics.quantiles(delays, n=20)[-1]
        await pilot.press("1")
        drawn, used = [], []
        for _ in range(15):
            screen = app._run_screen()
            assert screen is not None
            began, cpu = time.perf_counter(), time.process_time()
            app.post_message(app.Published(_copy(app), ""))
            await pilot.pause()
            app.screen._compositor.render_strips()
            drawn.append(1000 * (time.perf_counter() - began))
            used.append(1000 * (time.process_time() - cpu))
        found["refresh, CPU ms"] = statistics.median(used)
        found["refresh, median ms"] = statistics.median(drawn)
        process = psutil.Process()
        for round_ in range(2):  # the first fills the caches
            if round_:
                gc.collect()
                before = process.memory_info().rss
            for _ in range(refreshes):
                app.post_message(app.Published(_copy(app), ""))
                await pilot.pause()
        gc.collect()
        found["memory MB"] = process.memory_info().rss / 2**20
        found["growth %"] = 100 * (process.memory_info().rss / before - 1)
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(10)
        found["idle CPU %"] = 100 * (time.process_time() - cpu) / (time.perf_counter() - wall)
    return found


def _copy(app: RunApp) -> object:
    from dataclasses import replace

    assert app.snapshot is not None
    return replace(app.snapshot)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--refreshes", type=int, default=1_000)
    options = parser.parse_args()
    names = ["key, median ms", "key, 95 % ms", "key, CPU ms", "refresh, median ms",
             "refresh, CPU ms", "memory MB", "growth %", "idle CPU %"]  # fmt: skip
    print(f"| variants | first paint s | its CPU s | {' | '.join(names)} |")
    print(f"|---:|---:|---:|{'---:|' * len(names)}")
    for variants in options.variants:
        with tempfile.TemporaryDirectory() as name:
            place = make_large(Path(name), variants)
            (Path(name) / "program.md").write_text("Lower is better.\n")
            paints = [first_paint(Path(name)) for _ in range(3)]
            report_live(place, 0)
            found = asyncio.run(walk(place, options.keys, options.refreshes))
        cells = " | ".join(f"{found[name]:.1f}" for name in names)
        wall, cpu = (statistics.median(one) for one in zip(*paints, strict=True))
        print(f"| {variants:,} | {wall:.2f} | {cpu:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
