"""The gene pool: every founder applies to train.py, keeps the contract and learns."""

from __future__ import annotations

import ast
import os
import struct
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from evo.arena.cell import load_module
from evo.arena.job import Job, Role
from evo.arena.preflight import SCALE, SEQUENCE_LEN, VOCAB_SIZE, run_check
from evo.arena.trainee import run_training
from evo.arena.weights import unpack
from evo.arena.wire import Kind, read_frame, write_frame
from evo.patch import apply, read_founder

ROOT = Path(__file__).parent.parent
PATCHES = sorted((ROOT / "population" / "founders").glob("*.patch"))
BASELINE = (ROOT / "train.py").read_text("utf-8")
BATCHES = 24


def evolved(path: Path) -> str:
    return apply(BASELINE, read_founder(path.stem, path.read_text("utf-8")).diff)


def name_of(path: Path) -> str:
    return path.stem


def test_the_pool_is_large_enough_to_draw_from() -> None:
    assert len(PATCHES) >= 14


def test_no_two_founders_are_the_same() -> None:
    trees = {ast.dump(ast.parse(evolved(path))) for path in PATCHES}
    assert len(trees) == len(PATCHES)
    assert ast.dump(ast.parse(BASELINE)) not in trees


@pytest.mark.parametrize("path", PATCHES, ids=name_of)
def test_a_founder_says_what_it_is_and_why(path: Path) -> None:
    founder = read_founder(path.stem, path.read_text("utf-8"))
    assert 0 < len(founder.title) <= 80
    assert len(founder.rationale.split()) >= 15


@pytest.mark.parametrize("path", PATCHES, ids=name_of)
def test_a_founder_leaves_the_contract_alone(path: Path) -> None:
    source = evolved(path)
    tail = '\n\nif __name__ == "__main__":\n    arena_main(build_model, train)\n'
    assert source.endswith(tail)
    assert max(map(len, source.splitlines())) <= 100


@pytest.mark.torch
@pytest.mark.parametrize("path", PATCHES, ids=name_of)
def test_a_founder_passes_the_dry_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the cell's working folder, where the source is written
    run_check(*loaded(evolved(path), Role.CHECK, SCALE))


@pytest.mark.torch
@pytest.mark.parametrize("path", PATCHES, ids=name_of)
def test_a_founder_learns_from_the_stream_and_its_weights_go_back(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module, job = loaded(evolved(path), Role.TRAIN, 1.0)
    weights = trained(module, job)
    model = module.build_model(job.vocab_size, job.sequence_len, job.scale)
    unpack(weights, model)
    tokens = torch.from_numpy(rows_of_counting(4).astype(np.int64))
    with torch.inference_mode():
        logits = model.eval()(tokens[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert loss < 0.9 * np.log(VOCAB_SIZE)


def loaded(source: str, role: Role, scale: float) -> tuple[ModuleType, Job]:
    """A founder as a cell would load it, and the job it is loaded for."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    job = Job(
        role=role,
        source=source,
        filename="train.py",
        vocab_size=VOCAB_SIZE,
        sequence_len=SEQUENCE_LEN,
        scale=scale,
        device="cpu",
        threads=1,
        seed=0,
        budget_seconds=3.0,
    )
    return load_module(job), job


def rows_of_counting(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Text that is easy to learn: each token is the one before plus one."""
    start = np.random.default_rng(rows).integers(0, VOCAB_SIZE, (rows, 1))
    return ((start + np.arange(SEQUENCE_LEN + 1)) % VOCAB_SIZE).astype(np.uint16)


def trained(module: ModuleType, job: Job) -> bytes:
    """The weights after a few batches of the real wire, the referee's side being a thread."""
    to_cell_out, to_cell_in = os.pipe()
    from_cell_out, from_cell_in = os.pipe()
    weights = bytearray()

    def serve() -> None:
        served = 0
        while True:
            kind, body = read_frame(from_cell_out)
            if kind is Kind.DONE:
                return
            if kind is Kind.WEIGHTS:
                weights[:] = body
            elif kind is Kind.ORDER and served < BATCHES:
                served += 1
                batch = rows_of_counting(*struct.unpack("<I", body))
                write_frame(to_cell_in, Kind.BATCH, batch.tobytes())
            elif kind is Kind.ORDER:
                write_frame(to_cell_in, Kind.END)

    referee = threading.Thread(target=serve, daemon=True)
    referee.start()
    try:
        run_training(module.train, job, to_cell_out, from_cell_in)
        referee.join(10)
    finally:
        for descriptor in (to_cell_out, to_cell_in, from_cell_out, from_cell_in):
            os.close(descriptor)
    return bytes(weights)
