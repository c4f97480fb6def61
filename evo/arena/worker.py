"""A referee in a process of its own: takes requests as JSON lines, answers with JSON lines.

Each slot has one, and preflight has one. It keeps the engine small and quick (no batch is ever
packed there), and when the engine dies, its standard input ends and it ends its cells.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from evo.arena.command import CommandReferee
from evo.arena.compiled import Kept
from evo.arena.referee import Referee
from evo.arena.rules import Rules
from evo.corpus.corpus import Corpus, Split
from evo.errors import EvoError
from evo.nouns import CurvePoint, Measurement, Recipe, Task
from evo.sandbox import walls
from evo.sandbox.sandbox import Tier, TierSandbox, adopt_orphans


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """The first line: what this referee measures, and how."""

    task: Task
    rules: Rules
    data: str
    """Folder of the prepared corpus; empty for a command task."""
    gpu: str = ""
    sandbox: str = walls.AUTO
    """A tier, or `auto`."""
    unsafe: bool = False
    """Whether trials may run without walls."""
    readable: tuple[str, ...] = ()
    """What trials may read beside Python."""


class Measure(msgspec.Struct, frozen=True, tag="measure"):
    """Run this once."""

    trial: int
    """What an `Abort` names it by."""
    source: str
    seed: int
    log: str
    deep: bool = False
    """A deeper audit, and a score on the holdout split too."""
    split: Split = Split.SEARCH
    compiled: Kept | None = None
    """What compilers leave in a trial of a trusted text; None: nothing is carried over."""


class Check(msgspec.Struct, frozen=True, tag="check"):
    """Rehearse this with tiny shapes."""

    source: str


class Abort(msgspec.Struct, frozen=True, tag="abort"):
    """Give a trial up; one that is over by now, or hasn't begun, is none of its business."""

    trial: int


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """A running trial reported a loss."""

    point: CurvePoint


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    measurement: Measurement


class Checked(msgspec.Struct, frozen=True, tag="checked"):
    """What preflight found; an empty cause means nothing."""

    cause: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It couldn't be run, through no fault of the variant."""

    cause: str
    last: bool = False
    """Whether the referee ends with it and answers no more."""


Request = Setup | Measure | Check | Abort
Answer = Progress | Measured | Checked | Failed


class _Screen:
    """Passes a trial's progress on, and asks for its end once it is to be given up."""

    def __init__(self, worker: Worker, trial: int) -> None:
        self._worker, self._trial = worker, trial

    def progress(self, point: CurvePoint) -> None:
        self._worker.answer(Progress(point))

    def should_stop(self) -> bool:
        return self._worker.deserted.is_set() or self._worker.given_up == self._trial


class Worker:
    """Serves one stream of requests until it ends.

    Args:
        requests: JSON lines, one `Request` each; the first is a `Setup`.
        answers: Where JSON lines, one `Answer` each, are written.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.given_up: int | None = None
        """The trial that was given up last; it may be over already."""
        self.deserted = threading.Event()
        """Set when nobody asks or listens any more."""

    def serve(self) -> None:
        """Works until the requests end, which is when the engine has gone."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        setup = self._queue.get()
        if not isinstance(setup, Setup):
            return
        try:
            tier = walls.choose(setup.sandbox, unsafe=setup.unsafe, gpu=setup.gpu)
            referee = self._referee(setup, tier)
        except (EvoError, OSError) as error:
            self.answer(Failed(str(error), last=True))
            return
        while (request := self._queue.get()) is not None:
            self._serve_one(referee, request, tier)
        referee.close()

    def answer(self, answer: Answer) -> None:
        try:
            self._answers.write(msgspec.json.encode(answer) + b"\n")
            self._answers.flush()
        except OSError:
            self.deserted.set()

    def _serve_one(self, referee: Referee | CommandReferee, request: Request, tier: Tier) -> None:
        try:
            if isinstance(request, Measure):
                measurement = referee.measure(
                    request.source,
                    request.seed,
                    deep=request.deep,
                    split=request.split,
                    log=Path(request.log) if request.log else None,
                    compiled=request.compiled,
                    watch=_Screen(self, request.trial),
                )
                self.answer(Measured(replace(measurement, sandbox=str(tier))))
            elif isinstance(request, Check):
                self.answer(Checked(referee.check(request.source)))
        except (EvoError, OSError) as error:
            self.answer(Failed(str(error)))

    @staticmethod
    def _referee(setup: Setup, tier: Tier) -> Referee | CommandReferee:
        sandbox = TierSandbox(tier, setup.readable)
        if setup.task.recipe is Recipe.COMMAND:
            return CommandReferee(setup.task, sandbox, setup.rules, setup.gpu)
        return Referee(
            Corpus.open(Path(setup.data)),
            sandbox,
            setup.rules,
            setup.task.editable,
            gpu=setup.gpu,
            in_series=True,
        )

    def _read(self) -> None:
        decoder = msgspec.json.Decoder(Request)
        with contextlib.suppress(msgspec.MsgspecError):  # a line cut short: who wrote it has died
            for line in self._requests:
                request = decoder.decode(line)
                if isinstance(request, Abort):
                    self.given_up = request.trial
                    continue
                if isinstance(request, Measure):
                    self.given_up = None  # it may be the same trial, once more
                self._queue.put(request)
        self.deserted.set()
        self._queue.put(None)


def main() -> None:
    """Serves the engine over standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Worker(sys.stdin.buffer, answers).serve()
    sys.stdout.flush()
    sys.stderr.flush()
    # The thread that reads holds standard input, and Python can't shut down while it does.
    os._exit(0)


if __name__ == "__main__":
    main()
