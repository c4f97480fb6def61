"""A model that answers from a script: for demonstrations and tests, without a key or a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from evo.models.model import Message, ModelError, Reply, count_tokens
from evo.nouns import CallOutcome

Answer = str | Reply | ModelError
Script = Callable[[Sequence[Message]], Answer]


class ScriptedModel:
    """Answers what its script says.

    Args:
        name: What it is called.
        script: Makes an answer of the messages; or the answers in their order, after which it is
            overloaded for good.
        seconds: How long each answer takes.
        usd_per_call: What each answer costs; None as if nobody knew.
        pause: How it waits.
    """

    def __init__(
        self,
        name: str,
        script: Script | Iterable[Answer],
        *,
        seconds: float = 0.0,
        usd_per_call: float | None = 0.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._script = script if callable(script) else _in_order(script)
        self._seconds, self._usd, self._pause = seconds, usd_per_call, pause

    def complete(self, messages: Sequence[Message]) -> Reply:
        if self._seconds:
            self._pause(self._seconds)
        answer = self._script(messages)
        if isinstance(answer, ModelError):
            raise answer
        if isinstance(answer, Reply):
            return replace(answer, model=self.name)
        return Reply(
            text=answer,
            model=self.name,
            tokens_in=sum(count_tokens(message.text) for message in messages),
            tokens_out=count_tokens(answer),
            cost_usd=self._usd,
            seconds=self._seconds,
        )

    def estimate_usd(self, tokens_in: int) -> float | None:
        return self._usd


def _in_order(answers: Iterable[Answer]) -> Script:
    left, lock = iter(answers), threading.Lock()

    def script(messages: Sequence[Message]) -> Answer:
        with lock:
            over = ModelError("the script has ended", CallOutcome.OVERLOADED)
            return next(left, over)

    return script
