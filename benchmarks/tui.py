"""How quick and how small the terminal interface is, over a run of many variants.

First paint, keys and idling are measured from outside, at the other end of a real terminal: a key's
time is from the byte that it is to the last byte of the picture that answers it, while eight trials
report every second. Refreshes are measured in this process, with the app's driver for tests. On a
machine that others use too, the processor time beside each says what it would be without them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from itertools import count
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
IDLE_SECONDS = 15.0
FRAME_SECONDS = 1 / 60
CURSOR = b"48;2;43;53;71"
"""The colour behind the row that the cursor is on: no picture that answers a step is without it."""


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
        return time.perf_counter() - began, _processor(screen)


def walk(project: Path, place: Place, keys: int) -> dict[str, float]:
    """Key to paint, and what idling takes, in a real terminal."""
    done, found = threading.Event(), dict[str, float]()

    def report() -> None:
        for step in count():
            report_live(place, step)
            if done.wait(1.0):
                return

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        with Terminal(project, "tui", "main", size=SIZE) as screen:
            screen.see("better than the baseline")
            screen.press("2")
            screen.see("were kept")
            screen.press("g")
            screen.silence(1.0)
            used, delays = _processor(screen), []
            for number in range(keys):
                screen.silence(random.uniform(0.03, 0.25))  # as people press them
                delays.append(1000 * screen.paint("jk"[number // 10 % 2], CURSOR))
            found["key, CPU ms"] = 1000 * (_processor(screen) - used) / keys
            found["key, median ms"] = statistics.median(delays)
            found["key, 95 % ms"] = statistics.quantiles(delays, n=20)[-1]
            screen.press("1")
            screen.silence(2.0)
            used, began = _processor(screen), time.perf_counter()
            screen.silence(IDLE_SECONDS)
            found["idle CPU %"] = 100 * (_processor(screen) - used) / (time.perf_counter() - began)
    finally:
        done.set()
        reporter.join()
    return found


def _processor(screen: Terminal) -> float:
    """Seconds of a processor that the program has used so far."""
    used = psutil.Process(screen.process.pid).cpu_times()
    return used.user + used.system


async def refresh(place: Place, refreshes: int) -> dict[str, float]:
    """Refresh after a publish, and memory over many; each tenth reads the archive anew."""
    app, found, process = RunApp(place, State()), dict[str, float](), psutil.Process()
    async with app.run_test(size=SIZE) as pilot:
        while app.snapshot is None:
            await pilot.pause(0.05)
        drawn, used = [], []
        for _ in range(15):
            began, cpu = time.perf_counter(), time.process_time()
            app.post_message(app.Published(replace(app.snapshot), ""))
            await pilot.pause()
            app.screen._compositor.render_strips()
            drawn.append(1000 * (time.perf_counter() - began))
            used.append(1000 * (time.process_time() - cpu))
        found["refresh, CPU ms"] = statistics.median(used)
        found["refresh, median ms"] = statistics.median(drawn)
        before = 0.0
        for number in range(refreshes):
            if number == refreshes // 10:  # by then the caches are full
                before = _memory_mb(process)
            if number % 1000 == 0:
                print(f"{number} refreshes: {_memory_mb(process):.1f} MB", file=sys.stderr)
            last = app.snapshot
            if number % 10:
                app.post_message(app.Published(replace(last), ""))
            else:  # reading takes longer than drawing
                os.utime(place.archive)
                app.look_now()
            while app.snapshot is last:
                await asyncio.sleep(0.002)
            await asyncio.sleep(FRAME_SECONDS)
        found["memory MB"] = _memory_mb(process)
        found["growth %"] = 100 * (found["memory MB"] / before - 1)
    return found


def _memory_mb(process: psutil.Process) -> float:
    gc.collect()
    return float(process.memory_info().rss) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--keys", type=int, default=300)
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
            found = walk(Path(name), place, options.keys)
            found |= asyncio.run(refresh(place, options.refreshes))
        cells = " | ".join(f"{found[name]:.1f}" for name in names)
        wall, cpu = (statistics.median(one) for one in zip(*paints, strict=True))
        print(f"| {variants:,} | {wall:.2f} | {cpu:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
