"""What runs inside a cell: takes one job from the pipe, runs the candidate's code once, and ends.

The protocol takes over standard input and output, and both are pointed elsewhere before the
candidate's code is loaded: what that prints goes to the log with its standard error.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import traceback
from types import ModuleType
from typing import Any

import msgspec

from evo.arena.job import Fault, FaultKind, Job, RefusedError, Role
from evo.arena.wire import Kind, PipeClosedError, read_frame, write_frame


def main() -> int:
    """Runs one job; the exit status is 0 if the candidate's code did what was asked."""
    inbound, outbound = _take_over_standard_streams()
    import torch

    load_ahead(inbound)
    try:
        kind, body = read_frame(inbound)
    except PipeClosedError:
        return 1  # the referee is gone: there is nobody to work for
    assert kind is Kind.JOB, kind
    job = msgspec.json.decode(bytes(body), type=Job)
    torch.set_num_threads(job.threads)
    try:
        _run(job, inbound, outbound)
    except PipeClosedError:
        return 1
    except BaseException as error:
        traceback.print_exc()
        write_frame(outbound, Kind.FAULT, msgspec.json.encode(_classify(error, job.filename)))
        return 1
    return 0


def load_ahead(inbound: int) -> None:
    """Loads what `torch.compile` needs, where that is likely to be wanted and nobody waits yet.

    On a GPU it takes longer than loading torch does, and trials in series have the time.

    Args:
        inbound: Where a job comes from.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") and not select.select([inbound], [], [], 0)[0]:
        with contextlib.suppress(ImportError):  # how torch is built inside is its own affair
            import torch._dynamo
            import torch._inductor.compile_fx  # noqa: F401


def _take_over_standard_streams() -> tuple[int, int]:
    """The two ends of the wire; after this, 0 reads nothing and 1 writes to the log."""
    inbound, outbound = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return inbound, outbound


def _run(job: Job, inbound: int, outbound: int) -> None:
    _seed(job.seed)
    if job.role is Role.SCORE:
        from evo.arena.scorer import wipe, without_compilation

        wipe(job.device)
        without_compilation(job.device)
        write_frame(outbound, Kind.READY)
    if job.role is Role.TRAIN and job.has_compiled:
        from evo.arena.compiled import lay

        lay(read_frame(inbound)[1])
    module = load_module(job)
    if job.role is Role.TRAIN:
        from evo.arena.trainee import run_training

        run_training(module.train, job, inbound, outbound)
    elif job.role is Role.SCORE:
        from evo.arena.scorer import run_scoring

        run_scoring(module.build_model, job, inbound, outbound)
    else:
        from evo.arena.preflight import run_check

        run_check(module, job)
        write_frame(outbound, Kind.DONE)


def _seed(seed: int) -> None:
    """Seeds every generator that a training script is likely to use."""
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def load_module(job: Job) -> ModuleType:
    """The candidate's file as a module, with its source where tracebacks look for it.

    Raises:
        RefusedError: It lacks one of the functions of the contract.
    """
    import linecache

    name = os.path.splitext(job.filename)[0]  # noqa: PTH122 - pathlib costs a cell its import
    path = os.path.abspath(job.filename)  # noqa: PTH100
    with open(path, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
        file.write(job.source)  # torch.compile asks the file for the source of what it compiles
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    linecache.checkcache(path)
    exec(compile(job.source, path, "exec"), module.__dict__)
    for wanted in ("build_model", "train"):
        if not callable(getattr(module, wanted, None)):
            raise RefusedError(f"{job.filename} has no function {wanted}")
    return module


def _classify(error: BaseException, filename: str) -> Fault:
    import torch

    text = f"{type(error).__name__}: {error}".strip()
    where = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in where if frame.filename.endswith(filename)]
    if lines:
        text += f" ({filename}, line {lines[-1]})"
    if isinstance(error, RefusedError):
        return Fault(FaultKind.REFUSED, str(error))
    if _out_of_memory(error, torch):
        return Fault(FaultKind.OUT_OF_MEMORY, text)
    return Fault(FaultKind.CRASHED, text)


def _out_of_memory(error: BaseException, torch: Any) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # The CPU allocator raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


if __name__ == "__main__":
    sys.exit(main())
