"""The referee, with real cells: honest scripts get a score, all others a reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from evo.arena.compiled import Kept
from evo.arena.referee import Referee
from evo.arena.rules import Rules
from evo.corpus.corpus import Corpus
from evo.errors import ArenaError
from evo.nouns import Clock, CurvePoint, Measurement, Status
from evo.sandbox.sandbox import Cell, OpenSandbox, adopt_orphans
from tests.scripts import BIGRAM, with_forward, with_train

pytestmark = pytest.mark.torch

RULES = Rules(
    budget_seconds=1.0,
    clock=Clock.CPU,
    device="cpu",
    sequence_len=32,
    scale=1.0,
    score_tokens=2048,
    score_rows=16,
    startup_seconds=60.0,
    scoring_seconds=60.0,
    memory_mb=1500,
    weights_mb=16,
)


@pytest.fixture(scope="module", autouse=True)
def _adopting() -> None:
    adopt_orphans()


def measure(corpus: Corpus, source: str, log: Path | None = None, seed: int = 1) -> Measurement:
    return Referee(corpus, OpenSandbox(), RULES).measure(source, seed, log=log)


def test_an_honest_script_is_scored(corpus: Corpus, tmp_path: Path) -> None:
    source = with_train("print('hello')\n" + _body())
    measurement = measure(corpus, source, tmp_path / "log.txt")
    assert measurement.status is Status.SCORED, measurement.cause
    assert measurement.score is not None
    assert 0.5 < measurement.score < 8.0
    used = measurement.resources
    assert 0.5 < used.training_seconds < 1.1
    assert used.overrun_seconds <= 0.1
    assert used.steps > 10
    assert used.tokens == used.steps * 4 * 32
    assert used.parameters > 0
    assert len(measurement.curve) > 5
    counts = [point.tokens for point in measurement.curve]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= used.tokens
    assert measurement.data_sha == corpus.sha
    assert "hello" in (tmp_path / "log.txt").read_text()


@pytest.mark.slow
def test_training_lowers_the_score(corpus: Corpus) -> None:
    trained = measure(corpus, BIGRAM)
    idle = "return build_model(arena.vocab_size, arena.sequence_len, arena.scale)"
    untrained = measure(corpus, with_train(f"for _ in arena.batches(1):\n    break\n{idle}"))
    assert trained.score is not None
    assert untrained.score is not None
    assert trained.score < untrained.score - 0.1


CASES = {
    "raises": ("raise RuntimeError('oh no')", Status.CRASHED, "RuntimeError: oh no (train.py, lin"),
    "exits": ("import os\nos._exit(3)", Status.CRASHED, "exit status 3"),
    "segfaults": ("import ctypes\nctypes.string_at(0)", Status.CRASHED, "signal 11"),
    "says it ran out": ("raise MemoryError('x')", Status.OUT_OF_MEMORY, "MemoryError"),
    "allocates too much at once": ("torch.ones(2**34)", Status.OUT_OF_MEMORY, "allocate"),
    "allocates more and more": (
        "kept = []\nwhile True:\n    kept.append(torch.ones(2**24))",
        Status.OUT_OF_MEMORY,
        "",  # the limit of the process or the watchdog, whichever sees it first
    ),
    "loss is nan": (
        "for _ in arena.batches(1):\n    arena.report(float('nan'))",
        Status.CRASHED,
        "nan: the training loss is nan",
    ),
    "loss can't be squared": (
        "for _ in arena.batches(1):\n    arena.report(-1e300)",
        Status.CRASHED,
        "nan: the training loss is -1e+300",
    ),
    "weights are nan": (
        "model = build_model(arena.vocab_size, 1, 1.0)\nmodel.head.weight.data.fill_(torch.nan)\n"
        "for _ in arena.batches(1):\n    pass\nreturn model",
        Status.CRASHED,
        "nan: the trained model's predictions aren't finite",
    ),
    "never ends": (
        "for _ in arena.batches(1):\n    pass\nwhile True:\n    pass",
        Status.TIMED_OUT,
        "no weights had come",
    ),
    "trains on after the end": (
        "import time\nfor _ in arena.batches(1):\n    pass\nbegan = time.process_time()\n"
        "while time.process_time() - began < 0.5:\n    pass\n"
        "return build_model(arena.vocab_size, 1, 1.0)",
        Status.TIMED_OUT,
        "after the end of the budget",
    ),
    "asks for too much": ("next(arena.batches(2**31))", Status.CRASHED, "batch of 2,147,483,648"),
    "asks for nothing": ("next(arena.batches(0))", Status.CRASHED, "batch of 0 rows"),
    "never asks": (
        "return build_model(arena.vocab_size, 1, 1.0)",
        Status.CRASHED,
        "without asking for a batch",
    ),
    "returns nothing": ("for _ in arena.batches(1):\n    pass", Status.CRASHED, "NoneType"),
    "weights don't fit": (
        "for _ in arena.batches(1):\n    pass\nreturn nn.Linear(2, 2)",
        Status.CRASHED,
        "don't fit what build_model builds",
    ),
    "weights are too large": (
        "for _ in arena.batches(1):\n    pass\nreturn nn.Linear(4096, 2048)",
        Status.CRASHED,
        "over the cap",
    ),
    "speaks garbage": (
        "import os\nos.write(arena._outbound, b'garbage' * 99)\nnext(arena.batches(1))",
        Status.CRASHED,
        "isn't part of the protocol",
    ),
    "closes the pipe": (
        "import os, time\nos.close(arena._outbound)\ntime.sleep(9)",
        Status.CRASHED,
        "closed its pipe",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_script_that_fails_is_told_apart(corpus: Corpus, name: str) -> None:
    body, status, cause = CASES[name]
    measurement = measure(corpus, with_train(body))
    assert (measurement.status, measurement.score) == (status, None), measurement.cause
    assert cause in measurement.cause
    assert "\n" not in measurement.cause


PADDED = """
import time
from evo.arena.wire import write_parts
for _ in arena.batches(1):
    pass
def late():
    began = time.process_time()
    while time.process_time() - began < {late}:
        pass
    yield from [bytes(1 << 20)] * {megabytes}
write_parts(arena._outbound, 7, {megabytes} << 20, late())
time.sleep(9)
"""
"""Weights that are announced in time, and on their way for so long."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("late", "megabytes", "status"),
    [(0.6, 300, Status.TIMED_OUT), (0.3, 1, Status.TIMED_OUT), (0.2, 120, Status.CRASHED)],
)
def test_the_time_that_weights_take_is_limited(
    corpus: Corpus, late: float, megabytes: int, status: Status
) -> None:
    """Those that come in time aren't any: they are refused by who is to load them."""
    rules = replace(RULES, weights_mb=512)
    script = with_train(PADDED.format(late=late, megabytes=megabytes))
    measurement = Referee(corpus, OpenSandbox(), rules).measure(script, 1)
    assert measurement.status is status, measurement.cause


def test_a_checkpoint_counts_when_the_trainee_dies_later(corpus: Corpus) -> None:
    body = (
        "model = build_model(arena.vocab_size, arena.sequence_len, arena.scale)\n"
        "for step, _ in enumerate(arena.batches(1)):\n"
        "    if step == 3:\n        arena.checkpoint(model)\n"
        "import os\nos._exit(1)"
    )
    assert measure(corpus, with_train(body)).status is Status.SCORED


def test_a_flood_of_output_costs_nobody_anything(corpus: Corpus, tmp_path: Path) -> None:
    flood = "import os\nfor _ in range(2000):\n    os.write(1, b'x' * 2**19)\n"
    log = tmp_path / "log.txt"
    measurement = measure(corpus, with_train(flood + "print('the last words')\n" + _body()), log)
    assert measurement.status is Status.SCORED, measurement.cause
    assert log.stat().st_size < 300_000
    assert "bytes left out" in log.read_text()
    assert "the last words" in log.read_text()


def test_nothing_of_a_tree_that_daemonises_is_left(corpus: Corpus, tmp_path: Path) -> None:
    body = (
        "import os, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(60)\n"
        "        os._exit(0)\n"
        "time.sleep(1)\n" + _body()
    )
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    measurement = measure(corpus, with_train(body))
    assert measurement.status is Status.SCORED, measurement.cause
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert after <= before


def test_a_trial_can_be_given_up(corpus: Corpus) -> None:
    class Impatient:
        def progress(self, point: CurvePoint) -> None: ...
        def should_stop(self) -> bool:
            return True

    with pytest.raises(ArenaError, match="stopped"):
        Referee(corpus, OpenSandbox(), RULES).measure(BIGRAM, 1, watch=Impatient())


@pytest.mark.parametrize(
    ("forward", "cause"),
    [
        (
            "y = self.head(self.embedding(tokens))\nreturn y if self.training else y[:, :-1]",
            "logits of shape (2, 32, 64)",
        ),
        (
            "x = self.embedding(tokens)\nreturn self.head(x + x.mean(1, keepdim=True))",
            "isn't causal",
        ),
        (
            "x = self.embedding(tokens)\nreturn self.head(x + x.mean(0, keepdim=True))",
            "depends on its batch mates",
        ),
        ("return self.missing(tokens)", "AttributeError"),
        ("return self.head(self.embedding(tokens)) / 0", "aren't finite"),
    ],
)
def test_preflight_says_what_is_wrong(corpus: Corpus, forward: str, cause: str) -> None:
    found = Referee(corpus, OpenSandbox(), RULES).check(with_forward(forward))
    assert cause in found


def test_preflight_finds_nothing_wrong_with_an_honest_script(corpus: Corpus) -> None:
    assert Referee(corpus, OpenSandbox(), RULES).check(BIGRAM) == ""


def _body() -> str:
    start = BIGRAM.index("    model = build_model(arena")
    end = BIGRAM.index('if __name__ == "__main__"')
    return "\n".join(line[4:] for line in BIGRAM[start:end].strip("\n").splitlines())


class CountingSandbox(OpenSandbox):
    """Knows how many cells it has started."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[Cell] = []
        self.settled: list[int] = []
        """How many cells there were each time that dates were settled."""

    def settle(self, gpu: str = "") -> None:
        self.settled.append(len(self.cells))

    def start(self, *arguments: Any, **options: Any) -> Cell:
        self.cells.append(super().start(*arguments, **options))
        return self.cells[-1]


def test_in_series_the_next_trials_process_is_started_while_one_trains(
    corpus: Corpus, tmp_path: Path
) -> None:
    sandbox = CountingSandbox()
    referee = Referee(corpus, sandbox, replace(RULES, clock=Clock.WALL), in_series=True)
    for number, started in ((1, 4), (2, 7)):  # a trainee, two scorers, and the one that waits
        source, log = with_train(f"print('trial', {number})\n" + _body()), tmp_path / str(number)
        assert referee.measure(source, number, log=log).status is Status.SCORED
        assert log.read_text() == f"trial {number}\n"
        assert len(sandbox.cells) == started
    assert sandbox.settled == [0, 4]
    waiting = sandbox.cells[-1]
    assert waiting.poll() is None
    waiting.process.kill()  # as the kernel does where memory runs out
    waiting.wait(60)
    assert referee.measure(BIGRAM, 3).status is Status.SCORED
    assert sandbox.cells[-1].poll() is None
    referee.close()
    assert all(cell.poll() is not None for cell in sandbox.cells)


def test_compile_caches_begin_with_what_a_trusted_trial_left_and_with_nothing_else(
    corpus: Corpus, tmp_path: Path
) -> None:
    def leaves(word: str) -> str:
        return with_train(
            f"""import os, pathlib
folder = pathlib.Path(os.environ["TRITON_CACHE_DIR"]) / "kernels"
print(sorted((one.name, one.read_text()) for one in folder.glob("*")))
folder.mkdir(parents=True, exist_ok=True)
(folder / "{word}").write_text("{word}")
(folder / "trusted").write_text("{word}")
"""
            + _body()
        )

    referee, kept, logs = Referee(corpus, OpenSandbox(), RULES), tmp_path / "kept.zip", []
    for number, word in enumerate(("stranger", "trusted", "poison", "victim")):
        log = tmp_path / str(number)
        shared = Kept(str(kept), trusted=word == "trusted")
        found = referee.measure(leaves(word), 1, log=log, compiled=shared)
        assert found.status is Status.SCORED, found.cause
        logs.append(log.read_text().strip())
        assert kept.exists() == (number > 0)
    assert logs == ["[]", "[]", "[('trusted', 'trusted')]", "[('trusted', 'trusted')]"]


def test_a_file_of_caches_that_is_broken_costs_nothing_but_time(
    corpus: Corpus, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.zip"
    kept.write_bytes(b"PK half a zip")
    shared = Kept(str(kept), trusted=False)
    found = Referee(corpus, OpenSandbox(), RULES).measure(BIGRAM, 1, compiled=shared)
    assert found.status is Status.SCORED, found.cause
