"""A dry run of a variant with tiny shapes on the CPU, before it costs an accelerator anything.

Most broken proposals break in their first step. This catches slips (a wrong shape, a name that
doesn't exist, a model that sees the future), not attacks: what it accepts is still a stranger.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from evo.arena.job import Job, RefusedError

VOCAB_SIZE, SEQUENCE_LEN, SCALE, ROWS = 64, 32, 0.25, 2
STEPS = 2
MOST_ROWS = 8
"""The dry run trains on at most so many rows, whatever batch the variant asks for."""
TOLERANCE = 1e-3
"""Logits may differ by so much and still be called equal: float32 sums in another order."""


class RehearsalArena:
    """An arena without a referee: random tokens, a few steps, progress from 0 to 1."""

    def __init__(self, job: Job) -> None:
        import torch

        self._torch = torch
        self.vocab_size, self.sequence_len = job.vocab_size, job.sequence_len
        self.scale, self.budget_seconds = job.scale, 1.0
        self.device = torch.device("cpu")
        self.progress = 0.0
        self.elapsed_seconds = 0.0

    def warm_up(self, batch_size: int, steps: int = 3) -> Iterator[tuple[Any, Any]]:
        return self._draw(batch_size, min(steps, 1))

    def batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        for step, batch in enumerate(self._draw(batch_size, STEPS)):
            self.progress = step / STEPS
            yield batch
        self.progress = 1.0

    def report(self, loss: Any) -> None:
        float(loss)

    def checkpoint(self, model: Any) -> None:
        model.state_dict()

    def _draw(self, rows: int, steps: int) -> Iterator[tuple[Any, Any]]:
        if not isinstance(rows, int) or rows < 1:
            raise RefusedError(f"a batch has a whole number of rows, 1 or more, not {rows!r}")
        for _ in range(steps):
            shape = (min(rows, MOST_ROWS), self.sequence_len + 1)
            tokens = self._torch.randint(0, self.vocab_size, shape)
            yield tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def run_check(module: ModuleType, job: Job) -> None:
    """Builds, trains two steps and looks at the logits: what a cell with the role CHECK does.

    Raises:
        RefusedError: The contract is broken: shape, type, causality, independence of batch mates,
            or weights that don't go back into a fresh model.
    """
    import torch

    from evo.arena.weights import pack, unpack

    model = module.train(RehearsalArena(job))
    if not isinstance(model, torch.nn.Module):
        raise RefusedError(f"train must return the trained module, not {type(model).__name__}")
    fresh = module.build_model(job.vocab_size, job.sequence_len, job.scale)
    try:
        unpack(b"".join(bytes(part) for part in pack(model)[1]), fresh)
    except (ValueError, KeyError) as error:
        raise RefusedError(str(error)) from error
    fresh.eval()
    tokens = torch.randint(0, job.vocab_size, (ROWS, job.sequence_len))
    with torch.inference_mode():
        logits = _forward(fresh, tokens, job)
        _compare(fresh, tokens, logits, job)


def _forward(model: Any, tokens: Any, job: Job) -> Any:
    import torch

    logits = model(tokens)
    wanted = (*tokens.shape, job.vocab_size)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
        came = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise RefusedError(f"forward must return logits of shape {wanted}, got {came}")
    if not logits.isfinite().all():
        raise RefusedError("forward returns logits that aren't finite")
    return logits.float()


def _compare(model: Any, tokens: Any, logits: Any, job: Job) -> None:
    """Refuses a model that looks ahead, or at its neighbours in the batch."""
    half = job.sequence_len // 2
    changed = tokens.clone()
    changed[:, half:] = (changed[:, half:] + 1) % job.vocab_size
    if (_forward(model, changed, job)[:, :half] - logits[:, :half]).abs().max() > TOLERANCE:
        raise RefusedError("the model isn't causal: logits change with tokens that come later")
    changed = tokens.clone()
    changed[1:] = (changed[1:] + 1) % job.vocab_size
    if (_forward(model, changed, job)[0] - logits[0]).abs().max() > TOLERANCE:
        raise RefusedError("the model depends on its batch mates: logits change with other rows")
