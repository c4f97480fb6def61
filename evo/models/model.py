"""What a language model is: it takes messages and gives a reply, or says in which way it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from evo.errors import EvoError
from evo.nouns import CallOutcome

BYTES_PER_TOKEN = 3
"""Of code in English, by the tokenizers in use: 3 to 4. The lower number errs on the safe side."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    author: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered, and what it took."""

    text: str
    model: str
    tokens_in: int = 0
    tokens_out: int = 0
    """With what it thought before it spoke, where that is billed."""
    cost_usd: float | None = None
    """None where nobody knows the price."""
    seconds: float = 0.0
    finish: str = "stop"
    """Why it stopped, in the provider's word."""


class ModelError(EvoError):
    """A call gave nothing that can be used.

    Args:
        text: The cause, in one line and without a key in it.
        outcome: In which way it failed.
        reply: What was billed all the same (an empty or a truncated answer).
        retry_after_seconds: How long the provider asks to be left alone; None if it didn't say.
    """

    def __init__(
        self,
        text: str,
        outcome: CallOutcome,
        *,
        reply: Reply | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(text)
        self.outcome, self.reply = outcome, reply
        self.retry_after_seconds = retry_after_seconds


class Model(Protocol):
    """Something that answers. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """What settings and the archive call it."""

    def complete(self, messages: Sequence[Message]) -> Reply:
        """One answer.

        Raises:
            ModelError: There is none that can be used.
        """

    def estimate_usd(self, tokens_in: int) -> float | None:
        """What a call with so long a prompt may cost; None where nobody knows the price."""


def count_tokens(text: str) -> int:
    """About how many tokens a text has, without asking anybody's tokenizer."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
