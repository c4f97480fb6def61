"""The blind audit, measured: honest models that are called liars, lies that pass, and the cost.

    python benchmarks/audit.py honest [--trials 300] [--jobs N] [--device cuda]
                                                       real cells, many kinds of models
    python benchmarks/audit.py power                   simulated claims, real draws and verdicts
    python benchmarks/audit.py cost                    scoring alone, and with its audit

Seeds are printed; `honest` takes about a quarter of an hour for 100 trials on one core, and
runs `--jobs` at a time (default: one a core). On a GPU it is one at a time, as in a search: who
scores there overwrites the memory that is free first.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from evo.arena import audit
from evo.arena.examination import DEEP_PASSES, EVERYDAY_PASSES, Examiner, Questions
from evo.arena.job import Job, Role
from evo.arena.profile import cores
from evo.arena.referee import COMMAND
from evo.arena.rules import EndedError, Nobody, Rules
from evo.arena.waiting import Cells
from evo.corpus.corpus import Corpus, Split, locate
from evo.corpus.preparation import prepare_if_missing
from evo.nouns import Clock, Verdict
from evo.sandbox.sandbox import Cell, Limits, OpenSandbox, adopt_orphans

MODELS = {
    "bigram": "self.mix = nn.Identity()",
    "running mean": "self.mix = Mean()",
    "causal convolution": "self.mix = Convolution()",
    "GRU": "self.mix = Recurrent()",
    "attention": "self.mix = Attention()",
}
SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 32


class Mean(nn.Module):
    def forward(self, x):
        count = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
        return x.cumsum(1) / count[:, None]


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Conv1d(WIDTH, WIDTH, 4)

    def forward(self, x):
        return self.kernel(F.pad(x.transpose(1, 2), (3, 0))).transpose(1, 2)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, x):
        return self.cell(x)[0]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x):
        q, k, v = (y.unflatten(2, (2, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + y.transpose(1, 2).flatten(2)


class Model(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, WIDTH)
        MIX
        self.head = nn.Linear(WIDTH, vocab_size)

    def forward(self, tokens):  # (B, T) -> (B, T, V)
        return self.head(self.mix(self.embedding(tokens)))


def build_model(vocab_size, sequence_len, scale):
    model = Model(vocab_size)DTYPE
    COMPILE
    return model


def train(arena):
    raise NotImplementedError
"""


def script(mix: str, dtype: str, compiled: bool) -> str:
    text = SCRIPT.replace("MIX", MODELS[mix])
    text = text.replace("DTYPE", ".bfloat16()" if dtype == "bf16" else "")
    return text.replace("COMPILE", "model.compile()" if compiled else "pass")


def weights_of(source: str, vocab_size: int, seed: int) -> bytearray:
    """Weights as a training might leave them: drawn, and sharpened so that claims are bold."""
    import torch

    from evo.arena.weights import pack

    module = ModuleType("script")
    exec(source.replace("model.compile()", "pass"), module.__dict__)
    torch.manual_seed(seed)
    model = module.build_model(vocab_size, 256, 1.0)
    for parameter in model.parameters():
        parameter.data *= 2
    return bytearray(b"".join(bytes(part) for part in pack(model)[1]))


MEMORY_MB = {"cpu": 4096, "cuda": 65_536}
"""That a cell may hold; what a driver maps counts."""
AHEAD = 2
"""Cells that are started before they are needed, on a GPU, where loading takes longest."""


class Bench:
    """Examines scripts in real cells on the embedded data."""

    def __init__(self, score_tokens: int, device: str = "cpu") -> None:
        prepare_if_missing("embedded")
        self.corpus = Corpus.open(locate("embedded"))
        self.rules = Rules(
            10.0, Clock.CPU, device, 256, 1.0, score_tokens, 16, 120.0, 300.0, MEMORY_MB[device], 64
        )
        self.gpu = "0" if device == "cuda" else ""
        self.examiner = Examiner(self.corpus, self.rules)
        self.cells = Cells(self._start)
        adopt_orphans()

    def examine(self, source: str, seed: int, passes: int) -> Verdict:
        """A whole examination, as trials have it."""
        job, weights = self._job(source, seed), weights_of(source, self.corpus.vocab_size, seed)
        try:
            return self.examiner.examine(self.cells, job, weights, Split.SEARCH, passes, Nobody())
        finally:
            self.cells.close(but=AHEAD)

    def score(self, source: str, seed: int) -> None:
        """One scorer over the whole split, and nothing else."""
        job, weights = self._job(source, seed), weights_of(source, self.corpus.vocab_size, seed)
        rows = self.examiner.rows(Split.SEARCH)
        questions = Questions(self.rules, job, weights, self.corpus.vocab_size, Nobody())
        questions.all_of(self._start(), rows, np.zeros(len(rows), np.int64), rows[:, 1])

    def _start(self) -> Cell:
        return OpenSandbox().start(
            COMMAND, limits=Limits(memory_mb=self.rules.memory_mb), threads=1, gpu=self.gpu
        )

    def _job(self, source: str, seed: int) -> Job:
        rules = self.rules
        return Job(
            role=Role.TRAIN,
            source=source,
            filename="train.py",
            vocab_size=self.corpus.vocab_size,
            sequence_len=rules.sequence_len,
            scale=1.0,
            device=rules.device,
            threads=1,
            seed=seed,
        )


Kind = tuple[str, str, bool]
"""Model, type of the weights, and whether it is compiled."""
KINDS: list[Kind] = [
    (mix, dtype, compiled)
    for mix, dtype in itertools.product(MODELS, ("fp32", "bf16"))
    for compiled in (False, False, False, False, True)
]


@functools.cache
def _bench(device: str) -> Bench:
    return Bench(score_tokens=16_384, device=device)


def _one(device: str, seed: int) -> tuple[float | None, str]:
    """The largest difference of an honest trial, and why it was refused, if it was."""
    bench = _bench(device)
    if bench.gpu:
        bench.cells.prepare(AHEAD + 2)
    try:
        verdict = bench.examine(script(*KINDS[seed % len(KINDS)]), seed, 1)
    except EndedError as ended:
        return None, ended.cause
    return verdict.worst_nats, "" if verdict.honest else verdict.reason


def honest(trials: int, jobs: int, device: str) -> None:
    """How often an honest model is called something else, and how far its two answers differ."""
    prepare_if_missing("embedded")
    worst: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    refused = []
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        answers = track(
            pool.map(functools.partial(_one, device), range(trials)), "honest trials", total=trials,
            disable=not sys.stderr.isatty(),
        )  # fmt: skip
        for seed, (nats, cause) in enumerate(answers):
            kind = KINDS[seed % len(KINDS)]
            worst[kind] += [] if nats is None else [nats]
            if cause:
                refused.append((kind, seed, cause))
    print(f"{trials} honest trials, seeds 0 to {trials - 1}: {len(refused)} refused\n")
    print("| model | weights | | trials | largest difference, nats |")
    print("|---|---|---|---:|---:|")
    for (mix, dtype, compiled), found in worst.items():
        if found:
            how = "compiled" if compiled else "eager"
            print(f"| {mix} | {dtype} | {how} | {len(found)} | {max(found):.1e} |")
    for kind, seed, cause in refused:
        print(f"refused: {kind}, seed {seed}: {cause}")


SHARES = (0.0001, 0.001, 0.01, 0.1, 1.0)
SIZES = (0.005, 0.05, 0.5, 5.0)
ROWS = LENGTH = 256


def power(repeats: int) -> None:
    """How often a lie is found: share of tokens lied about × nats each × audited positions."""
    print(f"{ROWS} x {LENGTH} tokens, {repeats} draws each, seeds 0 to {repeats - 1}\n")
    kinds: dict[str, Callable[..., NDArray[np.float32]]] = {
        "tokens at random": _at_random,
        "the tokens that cost most": _where_it_costs,
    }
    for what, choose in kinds.items():
        print(f"Lies about {what}: share of forgeries that are found\n")
        print("| share of tokens | nats each | gain, nats a token | audit of an everyday trial "
              "| of a would-be champion |")  # fmt: skip
        print("|---:|---:|---:|---:|---:|")
        for share, size in itertools.product(SHARES, SIZES):
            found, gain = [], 0.0
            for passes in (EVERYDAY_PASSES, DEEP_PASSES):
                caught = 0
                for seed in range(repeats):
                    generator = np.random.default_rng([seed, passes])
                    truth, reference = _texts(generator)
                    claims = choose(truth, share, size, generator)
                    gain = float((truth - claims).mean())
                    caught += _caught(truth, claims, reference, passes, generator)
                found.append(caught / repeats)
            print(f"| {share:.2%} | {size:g} | {gain:.2g} | {found[0]:.0%} | {found[1]:.0%} |")
        print()


def _texts(generator: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nats of a model (mean 4.2, sd 3 a token) and of a reference that differs from it by 0.7."""
    truth = generator.gamma(2.0, 2.1, (ROWS, LENGTH)).astype(np.float32)
    reference = truth + generator.normal(0.1, 0.7, truth.shape).astype(np.float32)
    return truth, reference


def _at_random(
    truth: NDArray[np.float32], share: float, size: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    lied = generator.random(truth.shape) < share
    return np.where(lied, np.maximum(truth - size, 0), truth).astype(np.float32)


def _where_it_costs(
    truth: NDArray[np.float32], share: float, size: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    lied = truth >= np.quantile(truth, 1 - share)
    return np.where(lied, np.maximum(truth - size, 0), truth).astype(np.float32)


def _caught(
    truth: NDArray[np.float32],
    claims: NDArray[np.float32],
    reference: NDArray[np.float32],
    passes: int,
    generator: np.random.Generator,
) -> bool:
    weight = audit.suspicion(claims, reference)
    asked = []
    for _ in range(passes):
        cuts = audit.draw(weight, ROWS, generator)
        answers = truth[np.maximum(cuts.rows, 0), cuts.positions].astype(np.float64)
        asked.append((cuts, answers + generator.normal(0, 4e-7, len(answers))))
    cuts, answers = audit.join(asked)
    return audit.judge(cuts, claims, answers).judgement is not audit.Judgement.HONEST


def cost(repeats: int) -> None:
    """Wall seconds of scoring train.py's model on the CPU, without and with audits, in turn."""
    import evo

    source = (Path(evo.__file__).parent / "template" / "train.py").read_text("utf-8")
    bench = Bench(score_tokens=2**16)
    seconds: dict[int, list[float]] = {0: [], EVERYDAY_PASSES: [], DEEP_PASSES: []}
    for seed in range(repeats):
        for passes, taken in seconds.items():
            began = time.monotonic()
            bench.examine(source, seed, passes) if passes else bench.score(source, seed)
            taken.append(time.monotonic() - began)
    print(f"train.py's model, 65,536 tokens, {repeats} times each, in turn, seeds from 0\n")
    print("| scoring | positions | seconds (median, least to most) | over scoring alone |")
    print("|---|---:|---:|---:|")
    alone = statistics.median(seconds[0])
    for passes, taken in seconds.items():
        name = {0: "alone", EVERYDAY_PASSES: "everyday audit"}.get(passes, "deep audit")
        middle = statistics.median(taken)
        print(f"| {name} | {passes * 256} | {middle:.1f} ({min(taken):.1f} to {max(taken):.1f}) "
              f"| {middle / alone:.1f}× |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("honest", "power", "cost"), default="power")
    parser.add_argument("--trials", type=int, help="how often")
    parser.add_argument("--jobs", type=int, help="at a time (honest)")
    parser.add_argument("--device", choices=list(MEMORY_MB), default="cpu", help="(honest)")
    options = parser.parse_args()
    jobs = 1 if options.device == "cuda" else options.jobs or cores()
    {
        "honest": lambda: honest(options.trials or 300, jobs, options.device),
        "power": lambda: power(options.trials or 100),
        "cost": lambda: cost(options.trials or 5),
    }[options.what]()


if __name__ == "__main__":
    main()
