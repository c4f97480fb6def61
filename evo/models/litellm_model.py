"""Any provider's model, through litellm, which is imported at the first call: that takes seconds.

Keys and addresses come from the environment variables that litellm documents for each provider,
such as OPENAI_API_KEY and OPENAI_API_BASE, and are never told of.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

from evo.config import ModelSettings
from evo.models.model import Message, ModelError, Reply, count_tokens
from evo.nouns import CallOutcome
from evo.text import clean_text, redact

ASSUMED_ANSWER_TOKENS = 4_000
"""Of an answer that isn't there yet, to estimate what it may cost."""
MOST_ANSWER_CHARACTERS = 2_000_000
"""What is longer is no edit of a training script, whoever sends it."""
MOST_CAUSE_CHARACTERS = 300
GRACE_SECONDS = 1.0
"""In which litellm may say by itself that time is up."""
NO_KEY = "unused"
"""Sent to a server of one's own that is named by `api_base` where no key is set."""
STATUSES = {
    401: CallOutcome.UNAUTHORISED,
    402: CallOutcome.UNAUTHORISED,
    403: CallOutcome.UNAUTHORISED,
    404: CallOutcome.UNKNOWN_MODEL,
    408: CallOutcome.TIMED_OUT,
    413: CallOutcome.TOO_LONG,
    429: CallOutcome.RATE_LIMITED,
}
FINISHES = {"length": CallOutcome.TRUNCATED, "content_filter": CallOutcome.FILTERED}
_NO_CREDENTIALS = re.compile(r"(?i)missing credentials|api[_ ]key.*(not set|must be set|missing)")
_FILTER = re.compile(r"content_policy_violation|content_filter|ResponsibleAIPolicyViolation")
_UNKNOWN = re.compile(r"(?i)invalid model name|model\S* .{0,80}(not found|does not exist)")
_loading = threading.Lock()


class LiteLLMModel:
    """One model of one provider.

    Args:
        settings: Its name in litellm's form, such as `openai/gpt-5` or
            `anthropic/claude-sonnet-4-5`, and how it is asked.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self.name = settings.name

    def complete(self, messages: Sequence[Message]) -> Reply:
        load()
        began = time.monotonic()
        deadline = began + self._settings.timeout_seconds
        answer = self._in_time(lambda: self._answer(messages, deadline), deadline)
        reply = self._read(answer, time.monotonic() - began)
        self._check(reply)
        return reply

    def estimate_usd(self, tokens_in: int) -> float | None:
        return self._price(tokens_in, ASSUMED_ANSWER_TOKENS)

    def _in_time(self, call: Callable[[], Any], deadline: float) -> Any:
        """What a call gives, in a thread of its own: litellm bounds the time for each piece that
        comes, and a server that sends one now and then would hold us for ever.
        """
        given, broke = list[Any](), list[Exception]()

        def run() -> None:
            try:
                given.append(call())
            except Exception as error:
                broke.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(deadline + GRACE_SECONDS - time.monotonic())
        if broke:
            error = broke[0]
            raise error if isinstance(error, ModelError) else explain(error, self.name) from error
        if not given:
            raise self._too_slow()
        return given[0]

    def _answer(self, messages: Sequence[Message], deadline: float) -> Any:
        litellm = load()
        answer = litellm.completion(
            messages=[{"role": one.author, "content": one.text} for one in messages],
            **self._arguments(),
        )
        if not self._settings.stream:
            return answer
        pieces, characters = [], 0
        for piece in answer:
            pieces.append(piece)
            characters += len(str(piece.choices[0].delta.content or "")) if piece.choices else 0
            if time.monotonic() > deadline:
                raise self._too_slow()
            if characters > MOST_ANSWER_CHARACTERS:
                break
        return litellm.stream_chunk_builder(pieces)

    def _too_slow(self) -> ModelError:
        seconds = self._settings.timeout_seconds
        return ModelError(f"no whole answer came in {seconds:g} s", CallOutcome.TIMED_OUT)

    def _arguments(self) -> dict[str, Any]:
        settings = self._settings
        wanted: dict[str, Any] = {
            "temperature": settings.temperature,
            "reasoning_effort": settings.reasoning_effort,
            "api_base": settings.api_base or None,
            "max_tokens": settings.answer_tokens,
        }
        if settings.api_base and "OPENAI_API_KEY" not in os.environ:
            wanted["api_key"] = NO_KEY
        if settings.stream:
            wanted |= {"stream": True, "stream_options": {"include_usage": True}}
        return {
            "model": settings.name,
            "timeout": settings.timeout_seconds,
            "max_retries": 0,  # the roster tries again, and counts
            "num_retries": 0,
            "drop_params": True,
            **{name: value for name, value in wanted.items() if value is not None},
        }

    def _read(self, answer: Any, seconds: float) -> Reply:
        """A reply of what came, which may be anything that some server took for an answer."""
        try:
            choice = answer.choices[0]
            text, finish = choice.message.content or "", str(choice.finish_reason or "stop")
        except (AttributeError, IndexError, TypeError) as error:
            raise ModelError(
                f"{self.name} sent an answer without a message", CallOutcome.OVERLOADED
            ) from error
        if not isinstance(text, str):
            raise ModelError(f"{self.name} sent an answer without text", CallOutcome.OVERLOADED)
        usage = getattr(answer, "usage", None)
        tokens_in = int(getattr(usage, "prompt_tokens", 0) or 0)
        tokens_out = int(getattr(usage, "completion_tokens", 0) or count_tokens(text))
        cost = self._price(tokens_in, tokens_out)
        return Reply(text, self.name, tokens_in, tokens_out, cost, seconds, finish)

    def _check(self, reply: Reply) -> None:
        outcome = FINISHES.get(reply.finish)
        if outcome is None and not reply.text.strip():
            outcome = CallOutcome.EMPTY
        if outcome is None and len(reply.text) > MOST_ANSWER_CHARACTERS:
            outcome = CallOutcome.UNUSABLE
        if outcome is not None:
            size = f"{len(reply.text):,} characters"
            raise ModelError(
                f"the answer is {outcome} ({size}, finish_reason {reply.finish!r})",
                outcome,
                reply=reply,
            )

    def _price(self, tokens_in: int, tokens_out: int) -> float | None:
        own_in, own_out = self._settings.usd_per_million_in, self._settings.usd_per_million_out
        if own_in is not None and own_out is not None:
            return (own_in * tokens_in + own_out * tokens_out) / 1e6
        try:
            dollars = load().cost_per_token(
                model=self.name, prompt_tokens=tokens_in, completion_tokens=tokens_out
            )
        except Exception:  # litellm raises a plain Exception for a model whose price it lacks
            return None
        return float(sum(dollars))


@lru_cache(maxsize=1)
def _import() -> ModuleType:
    # The table of prices that comes with the package: the newest would be fetched from the net.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    state = random.getstate()
    try:
        import litellm
    finally:
        random.setstate(state)  # its import draws from the global state
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


def load() -> ModuleType:
    """The litellm package."""
    with _loading:
        return _import()


def explain(error: Exception, name: str) -> ModelError:
    """An exception of litellm, or of what lies below it, as the way in which a call failed."""
    litellm = load()
    text = redact(str(error), os.environ)
    status = getattr(error, "status_code", None)
    headers = getattr(error, "litellm_response_headers", None) or {}
    below = list(_causes(error))
    match error:
        case litellm.ContextWindowExceededError():
            outcome = CallOutcome.TOO_LONG
        case _ if any(_FILTER.search(str(cause)) for cause in below):
            outcome = CallOutcome.FILTERED
        case litellm.ContentPolicyViolationError():
            outcome = CallOutcome.FILTERED
        case _ if _UNKNOWN.search(text):
            outcome = CallOutcome.UNKNOWN_MODEL
        case litellm.Timeout():
            outcome = CallOutcome.TIMED_OUT
        case _ if _NO_CREDENTIALS.search(text):
            outcome = CallOutcome.UNAUTHORISED
        case _ if "LLM Provider NOT provided" in text:
            outcome = CallOutcome.UNKNOWN_MODEL
            text = "its name needs a provider before it, as in openai/NAME or anthropic/NAME"
        case _ if any(type(cause).__name__ == "APIConnectionError" for cause in below):
            outcome = CallOutcome.DISCONNECTED
        case _ if isinstance(status, int) and status in STATUSES:
            outcome = STATUSES[status]
        case _ if isinstance(status, int) and 400 <= status < 500:
            outcome = CallOutcome.REFUSED
        case _:
            outcome = CallOutcome.OVERLOADED
    return ModelError(
        _one_line(text), outcome, retry_after_seconds=retry_after(headers, time.time())
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what lies below it: litellm wraps those of each provider's package."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How long a server asks to be left alone (RFC 9110, 10.2.3): seconds, or a date."""
    from email.utils import parsedate_to_datetime

    said = str(headers.get("retry-after") or headers.get("Retry-After") or "").strip()
    if not said:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _one_line(text: str) -> str:
    line = " ".join(clean_text(text).split())
    return line if len(line) <= MOST_CAUSE_CHARACTERS else f"{line[: MOST_CAUSE_CHARACTERS - 1]}…"
