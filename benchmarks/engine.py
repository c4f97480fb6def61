"""What the engine costs, and whether its slots are ever idle.

    python benchmarks/engine.py [--trials N]

A real engine with its real stores; the proposer takes 1 s and a trial 6 s, both by sleeping, so
that whatever the slots are not busy with is the engine's. CPU and memory are this process's, which
is the engine; its referees' processes are counted by themselves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil

from evo.archive.reading import Reader
from evo.config import parse
from evo.engine.assembly import assemble
from evo.nouns import Brief, Proposal
from evo.operators.operator import Shelf
from evo.operators.tuning import Tune
from evo.patch import diff

PROPOSAL_SECONDS, TRIAL_SECONDS = 1.0, 6.0
FOUNDERS = 4
"""As in any run, slots have something to do before the baseline has a score."""
SCRIPT = f"""
import time
KNOB = 1.0
OTHER = 0.5
THIRD = 100
time.sleep({TRIAL_SECONDS})
print("score:", KNOB * OTHER / THIRD)
"""


class SlowTune(Tune):
    """Tunes a constant, as slowly as a language model answers."""

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        time.sleep(PROPOSAL_SECONDS)
        return super().propose(brief, shelf)


def measure(slots: int, trials: int) -> str:
    settings = parse(
        {
            "slots": slots,
            "trials": trials,
            "founders": FOUNDERS,
            "task": {
                "recipe": "command",
                "command": "python {editable}",
                "editable": "script.py",
                "metric": "score",
                "clock": "wall",
                "budget_seconds": 60,
            },
        }
    )
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        (project / "program.md").write_text("Lower is better.\n")
        pool = project / "population" / "founders"
        pool.mkdir(parents=True)
        for number in range(FOUNDERS):
            changed = SCRIPT.replace("OTHER = 0.5", f"OTHER = 0.4{number}")
            patch = f"Title: Founder {number}\nRationale: A start.\n\n{diff(SCRIPT, changed)}"
            (pool / f"founder{number}.patch").write_text(patch)
        engine = assemble(
            project=project,
            settings=settings,
            folder=project / "population" / "main",
            archive_folder=project / "archive",
            baseline=SCRIPT,
            others={"tune": SlowTune(0)},
        )
        me = psutil.Process()
        before = me.cpu_times()
        engine.run()
        after = me.cpu_times()
        with Reader.open(project / "archive" / "archive.duckdb") as reader:
            [[busy, wall, count]] = reader.query(
                "SELECT sum(epoch(finished_at - started_at)), "
                "epoch(max(finished_at) - min(started_at)), count(*) "
                "FROM trials WHERE status = 'scored'"
            ).rows
    cpu = (after.user - before.user + after.system - before.system) / count
    memory = me.memory_info().rss / 2**20
    return f"| {slots} | {count} | {busy / (slots * wall):.1%} | {1000 * cpu:.0f} | {memory:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=16, help="trials for each slot")
    options = parser.parse_args()
    print("| slots | trials | slots busy | engine CPU ms a trial | engine memory MB |")
    print("|---:|---:|---:|---:|---:|")
    for slots in (1, 2):
        print(measure(slots, options.trials * slots), flush=True)


if __name__ == "__main__":
    main()
