"""All that train.py sees of evo: the `Arena` that serves it batches, and `arena_main`.

This runs inside the trainee's process, next to the candidate's code, so nothing here is trusted:
the clock, the seed and the stream belong to the referee at the other end of the pipe. What this
side keeps (progress, when to stop so that the last step ends within the budget) is a courtesy.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evo.arena.job import CellStats, Job
from evo.arena.wire import Kind, read_frame, write_frame, write_parts
from evo.nouns import Clock

BATCHES_AHEAD = 2
"""Orders sent before their batches are needed: the pipe holds the next while this one trains."""
STEPS_IN_FLIGHT = 2
"""Steps queued on a GPU beyond the one that is yielded; more would run past the budget unseen."""
REPORTS_PER_TRIAL = 400


class Arena:
    """What `train(arena)` is given.

    Attributes:
        vocab_size: Number of token ids.
        sequence_len: Tokens in a row of a batch, T.
        scale: Share of the full model's depth and width, in (0, 1].
        device: The torch device to train on.
        budget_seconds: The budget, in seconds of wall or CPU time.
    """

    def __init__(self, job: Job, inbound: int, outbound: int) -> None:
        import torch

        self.vocab_size = job.vocab_size
        self.sequence_len = job.sequence_len
        self.scale = job.scale
        self.device = torch.device(job.device)
        self.budget_seconds = job.budget_seconds
        self._torch = torch
        self._dtype = torch.uint16 if job.token_bytes_each == 2 else torch.uint32
        self._inbound, self._outbound = inbound, outbound
        self._read_clock = time.process_time if job.clock is Clock.CPU else time.monotonic
        self._began: float | None = None
        self._orders: list[int] = []  # rows of each batch that is on its way
        self._ended = False
        self._step = 0
        self._last_report = -1.0
        self._pending_report: tuple[int, Any] | None = None
        self.data_wait_seconds = 0.0

    @property
    def elapsed_seconds(self) -> float:
        """Budget used so far, by this side's clock; 0 before the first batch."""
        return 0.0 if self._began is None else self._read_clock() - self._began

    @property
    def progress(self) -> float:
        """Share of the budget used, from 0 to 1: what every schedule should be driven by."""
        return min(self.elapsed_seconds / self.budget_seconds, 1.0)

    def warm_up(self, batch_size: int, steps: int = 3) -> Iterator[tuple[Any, Any]]:
        """Random tokens before the budget starts, for compilation and other first-time costs.

        Args:
            batch_size: Rows a batch.
            steps: Number of batches.

        Yields:
            `(inputs, targets)`, both int64 of shape (batch_size, sequence_len), on `device`.
        """
        for _ in range(steps):
            shape = (batch_size, self.sequence_len + 1)
            tokens = self._torch.randint(0, self.vocab_size, shape, device=self.device)
            yield _pair(tokens)
        self._synchronize()

    def batches(self, batch_size: int) -> Iterator[tuple[Any, Any]]:
        """Training data until the budget is used up; the first batch starts the clock.

        May be called again with another size: the clock and the stream go on.

        Args:
            batch_size: Rows a batch.

        Yields:
            `(inputs, targets)`, both int64 of shape (batch_size, sequence_len), on `device`;
            `targets` are `inputs` one token later.
        """
        longest, events, synchronous = 0.0, [], self.device.type != "cuda"
        while not self._ended:
            started = self.elapsed_seconds
            if self._began is not None and started + longest > self.budget_seconds:
                break
            batch = self._next_batch(batch_size)
            if batch is None:
                break
            yield batch
            if not synchronous:
                event = self._torch.cuda.Event(blocking=True)
                event.record()
                events.append(event)
                near_the_end = started + (STEPS_IN_FLIGHT + 2) * longest > self.budget_seconds
                for event in events if near_the_end else events[:-STEPS_IN_FLIGHT]:
                    event.synchronize()
                events = [] if near_the_end else events[-STEPS_IN_FLIGHT:]
            took = self.elapsed_seconds - started
            # Decays, so that one slow step (a stolen core) doesn't end the training early.
            longest = max(took, 0.8 * longest + 0.2 * took)
        self._synchronize()
        self._flush_report()

    def report(self, loss: Any) -> None:
        """Tells the referee the training loss of this step, for the live curve.

        Args:
            loss: Nats per token, a float or a tensor of one element. A tensor is read one report
                later, so that no step waits for the device.
        """
        self._step += 1
        now = self.elapsed_seconds
        if now - self._last_report < self.budget_seconds / REPORTS_PER_TRIAL:
            return
        self._last_report = now
        self._flush_report()
        value = loss.detach().clone() if hasattr(loss, "detach") else loss
        self._pending_report = (self._step, value)

    def checkpoint(self, model: Any) -> None:
        """Hands in the weights as they are now; the last whole set that the referee has counts."""
        from evo.arena.weights import pack

        write_parts(self._outbound, Kind.WEIGHTS, *pack(model))

    def _flush_report(self) -> None:
        if self._pending_report is not None:
            step, value = self._pending_report
            self._pending_report = None
            write_frame(self._outbound, Kind.REPORT, struct.pack("<Id", step, float(value)))

    def _next_batch(self, rows: int) -> tuple[Any, Any] | None:
        while len(self._orders) < BATCHES_AHEAD:
            self._orders.append(rows)
            write_frame(self._outbound, Kind.ORDER, struct.pack("<I", rows))
        waited_since = time.monotonic()
        rows = self._orders.pop(0)
        kind, body = read_frame(self._inbound)
        if kind is Kind.END:
            self._ended = True
            return None
        if self._began is None:
            self._began = self._read_clock()
        else:
            self.data_wait_seconds += time.monotonic() - waited_since
        tokens = self._torch.frombuffer(body, dtype=self._dtype)
        tokens = tokens.view(rows, self.sequence_len + 1)
        if self.device.type == "cuda":
            tokens = tokens.view(self._signed()).pin_memory().to(self.device, non_blocking=True)
            tokens = tokens.to(self._torch.int64)
            if self._dtype is self._torch.uint16:
                tokens = tokens & 0xFFFF
        else:
            tokens = tokens.to(self._torch.int64)
        return _pair(tokens)

    def _signed(self) -> Any:
        """The signed twin of the wire's dtype: CUDA converts few of the unsigned ones."""
        short = self._dtype is self._torch.uint16
        return self._torch.int16 if short else self._torch.int32

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            self._torch.cuda.synchronize()


def _pair(tokens: Any) -> tuple[Any, Any]:
    """Inputs and targets of rows one token longer; contiguous, so that `view` works on them."""
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def run_training(train: Callable[[Arena], Any], job: Job, inbound: int, outbound: int) -> None:
    """Trains once and hands in the weights: what a cell with the role TRAIN does."""
    from evo.arena.weights import pack

    arena = Arena(job, inbound, outbound)
    model = train(arena)
    write_parts(outbound, Kind.WEIGHTS, *pack(model))
    device_memory = 0.0
    if arena.device.type == "cuda":
        device_memory = arena._torch.cuda.max_memory_allocated() / 2**20
    stats = CellStats(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        device_memory_mb=device_memory,
        data_wait_seconds=arena.data_wait_seconds,
    )
    body = {name: getattr(stats, name) for name in stats.__struct_fields__}
    write_frame(outbound, Kind.STATS, json.dumps(body).encode())
    if job.hands_in_compiled:
        from evo.arena.compiled import gather

        write_frame(outbound, Kind.COMPILED, gather())
    write_frame(outbound, Kind.DONE)


def arena_main(build_model: Callable[..., Any], train: Callable[[Arena], Any]) -> None:
    """`python train.py`: measures the file that calls it, and prints the summary block.

    The file is trained and scored just as a search would do it: by a referee in front of two fresh
    processes. The two functions are only here so that the contract is visible in train.py.
    """
    from evo.arena.standalone import measure_file

    script = sys.modules["__main__"].__file__
    assert script is not None, "arena_main is called from a file"
    sys.exit(measure_file(Path(script), sys.argv[1:]))
