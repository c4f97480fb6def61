"""Whether slots are ever idle while a language model answers slowly.

    python benchmarks/models.py [--trials N]

A model that takes 30 s to answer and trials that take 60 s, at a twentieth of the time: 1.5 s and
3 s. The engine, its stores and its processes are real; the model is a scripted one that moves a
number of the script. Slots are looked at from the moment at which each has had a trial until the
last trial begins: before and after there is nothing that they could do.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evo.archive.reading import Reader
from evo.config import parse
from evo.engine.assembly import assemble
from evo.models.model import Message
from evo.models.scripted_model import ScriptedModel

SIMULATED = 20
ANSWER_SECONDS, TRIAL_SECONDS = 30 / SIMULATED, 60 / SIMULATED
SCRIPT = f"import time\nKNOB = 1.0\ntime.sleep({TRIAL_SECONDS})\nprint('score:', KNOB)\n"
BUSY = """
WITH numbered AS (
    SELECT started_at AS began, finished_at AS ended, row_number() OVER (ORDER BY started_at) AS n
    FROM trials WHERE started_at IS NOT NULL
), span AS (
    SELECT min(began) FILTER (n = $1) AS since, max(began) AS until FROM numbered
)
SELECT sum(greatest(0, epoch(least(coalesce(ended, until), until) - greatest(began, since)))),
       any_value(epoch(until - since)), count(*)
FROM numbered, span
"""


def measure(slots: int, trials: int) -> str:
    numbers = itertools.count()

    def script(messages: Sequence[Message]) -> str:
        old = next(line for line in messages[1].text.splitlines() if "│ KNOB = " in line)
        new = f"KNOB = 1.{next(numbers):04d}1\nSTEP_{next(numbers)} = 0"
        block = f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"
        return f"Title: Another number\nRationale: None.\n\n{block}"

    task = {
        "recipe": "command", "command": "python {editable}", "editable": "script.py",
        "metric": "score", "clock": "wall", "budget_seconds": 60,
    }  # fmt: skip
    settings = parse({"slots": slots, "trials": trials, "founders": 0, "task": task})
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        (project / "program.md").write_text("Lower is better.\n")
        engine = assemble(
            project=project,
            settings=settings,
            folder=project / "population" / "main",
            archive_folder=project / "archive",
            baseline=SCRIPT,
            models=[ScriptedModel("slow", script, seconds=ANSWER_SECONDS)],
        )
        engine.run()
        with Reader.open(project / "archive" / "archive.duckdb") as reader:
            [[busy, wall, count]] = reader.query(BUSY, [slots]).rows
            [[calls]] = reader.query("SELECT count(*) FROM llm_calls").rows
    return f"| {slots} | {count} | {calls} | {busy / (slots * wall):.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12, help="trials for each slot")
    options = parser.parse_args()
    print("| slots | trials | calls | slots busy |")
    print("|---:|---:|---:|---:|")
    for slots in (1, 2, 8):
        print(measure(slots, options.trials * slots), flush=True)


if __name__ == "__main__":
    main()
