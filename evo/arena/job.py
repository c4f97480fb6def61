"""What a cell is told to do, and the small messages that it answers with."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from evo.nouns import Clock

NONSENSE = (msgspec.MsgspecError, RecursionError)
"""What decoding a cell's words may raise: they may be nested without end."""


class Role(StrEnum):
    """What a cell is for."""

    TRAIN = "train"
    SCORE = "score"
    CHECK = "check"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The first message to a cell: one role, one variant, once."""

    role: Role
    source: str
    filename: str
    """What the source is called in tracebacks."""
    vocab_size: int
    sequence_len: int
    scale: float
    device: str
    """A torch device: `cpu` or `cuda`."""
    threads: int
    seed: int
    budget_seconds: float = 0.0
    clock: Clock = Clock.WALL
    token_bytes_each: int = 2
    """Bytes of one token on the wire: 2 (uint16) or 4 (uint32)."""
    has_compiled: bool = False
    """Whether a `COMPILED` frame follows, with which its compile caches begin."""
    hands_in_compiled: bool = False
    """Whether it is to hand in what its compilers left."""


class FaultKind(StrEnum):
    """How a cell's own harness classifies an exception of the candidate's code."""

    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    REFUSED = "refused"
    """The code runs but breaks the contract, for instance by logits of the wrong shape."""


class RefusedError(Exception):
    """The candidate's code runs but breaks the contract; the text says which part."""


class Fault(msgspec.Struct, frozen=True):
    """The candidate's code raised; its word, to be cleaned before a person sees it."""

    kind: FaultKind
    text: str


class CellStats(msgspec.Struct, frozen=True):
    """What a trainee says of itself: for people to read, never believed."""

    parameters: int = 0
    device_memory_mb: float = 0.0
    data_wait_seconds: float = 0.0
