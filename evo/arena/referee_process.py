"""The engine's handle on a referee that runs in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from evo.arena.worker import Abort, Answer, Failed, Request, Setup
from evo.errors import ArenaError
from evo.sandbox.sandbox import HARNESS

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_HOME", "XDG_CACHE_HOME")
"""All that a referee gets of our environment: whatever can read its memory finds no key there."""
GOODBYE_SECONDS = 10.0


class RefereeProcess:
    """Starts a referee, sends it requests, and passes its answers on.

    Args:
        setup: What it measures, and how.
        on_answer: Called on a thread of this handle with every answer. When the process ends
            before it was closed, the last answer is one `Failed` that says so, with the referee's
            own reason if it gave one; the process is gone by then.

    Raises:
        ArenaError: The process can't be started.
    """

    def __init__(self, setup: Setup, on_answer: Callable[[Answer], None]) -> None:
        self._on_answer = on_answer
        self._closing = False
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "evo.arena.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment | {"PYTHONPATH": str(HARNESS), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        except OSError as error:
            raise ArenaError(f"a referee can't be started: {error}") from error
        self._thread = threading.Thread(target=self._listen, name="referee", daemon=True)
        self._thread.start()
        self._send(setup)

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(self, request: Request) -> None:
        """Sends a request; the answers come through `on_answer`."""
        self._send(request)

    def abort(self, trial: int) -> None:
        """Has a trial given up; its answer is a `Failed`, unless it is over already."""
        self._send(Abort(trial))

    def close(self) -> None:
        """Ends the process and its cells, and waits for that."""
        self._closing = True
        with contextlib.suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        try:
            self._process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(GOODBYE_SECONDS)

    def _send(self, request: Request) -> None:
        assert self._process.stdin
        # A broken pipe is told by the listener, once and with its reason.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        decoder = msgspec.json.Decoder(Answer)
        last: Failed | None = None
        with self._process.stdout as answers:
            for line in answers:
                try:
                    answer = decoder.decode(line)
                except msgspec.MsgspecError:
                    # A line cut short, by its death as a rule. One that lives isn't listened to
                    # any more, and would never end by itself.
                    self._process.kill()
                    break
                if isinstance(answer, Failed) and answer.last:
                    last = answer
                else:
                    self._on_answer(answer)
        code = self._process.wait()
        if not self._closing:
            cause = f"the referee's process ended with status {code}"
            self._on_answer(last or Failed(cause, last=True))
