"""The roster: several models by weight; calls that fail are tried again, models that keep failing
are rested, and every call is told of.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential
from tenacity.nap import sleep_using_event

from evo.models.model import Message, Model, ModelError, Reply, count_tokens
from evo.models.purse import Purse, SpentError
from evo.nouns import Call, CallOutcome, utc

MOST_ATTEMPTS = {
    CallOutcome.TIMED_OUT: 2,
    CallOutcome.RATE_LIMITED: 5,
    CallOutcome.OVERLOADED: 4,
    CallOutcome.DISCONNECTED: 4,
    CallOutcome.EMPTY: 3,
    CallOutcome.TRUNCATED: 2,
}
"""Calls of one model for one answer, by the way in which the last one failed; 1 for all others,
where asking again would fail again."""
FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 1.0, 60.0
MOST_RETRY_AFTER_SECONDS = 300.0
"""Who asks for a longer pause is rested instead."""
FAILURES_BEFORE_REST = 2
"""Answers that a model owes in a row, each after all attempts."""
HOPELESS = frozenset({CallOutcome.UNAUTHORISED, CallOutcome.UNKNOWN_MODEL})
"""Ways to fail after which a model is rested at once."""
FIRST_REST_SECONDS, MOST_REST_SECONDS = 60.0, 3600.0
MOST_DOUBLINGS = 16
MOST_ASKED_REST_SECONDS = 24 * 3600.0
"""Whatever a server asks for, it is tried again after a day."""


class NoAnswerError(ModelError):
    """Every model that could be asked has failed, is resting, or can't be paid."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a call is for."""

    proposal: int
    operator: str
    role: str = ""
    program_sha: str = ""
    model: str = ""
    """The one to ask first; empty means that the weights decide."""
    seed: int = 0


@dataclass(slots=True)
class Bill:
    """What came of a call and what it took; filled in while it lasts."""

    outcome: CallOutcome = CallOutcome.OVERLOADED
    cause: str = "the call broke off"
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None
    """None where nobody knows the price."""

    def take(self, reply: Reply | None) -> None:
        if reply is not None:
            self.tokens_in, self.tokens_out = reply.tokens_in, reply.tokens_out
            self.cost_usd = reply.cost_usd


@dataclass(frozen=True, slots=True)
class Member:
    """A model of the roster."""

    model: Model
    weight: float = 1.0


@dataclass(slots=True)
class Stamina:
    """How a model or an agent has done lately."""

    failures: int = 0
    """Answers it owes in a row."""
    rests: int = 0
    """In a row."""
    resting_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a roster behaves towards its models."""

    concurrent_calls: int = 8
    first_wait_seconds: float = FIRST_WAIT_SECONDS
    first_rest_seconds: float = FIRST_REST_SECONDS


class Roster:
    """Asks models; safe to call from several threads.

    Args:
        members: The models, with their weights.
        purse: Pays.
        on_call: Told of every call, on the thread that made it.
        clock: Unix seconds.
        say: Told what people should know, such as that a model is rested.
        conduct: Limits and pauses.
    """

    def __init__(
        self,
        members: Sequence[Member],
        *,
        purse: Purse,
        on_call: Callable[[Call], None],
        clock: Callable[[], float],
        say: Callable[[str], None] = lambda text: None,
        conduct: Conduct = Conduct(),
    ) -> None:
        self._members = {member.model.name: member for member in members}
        self._on_call, self._clock, self._say = on_call, clock, say
        self.purse, self._conduct = purse, conduct
        self._places = threading.BoundedSemaphore(conduct.concurrent_calls)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._in_flight: dict[int, tuple[Occasion, str, float, float]] = {}
        self._next_call = 0
        self._staminas = defaultdict[str, Stamina](Stamina)
        self._bills: dict[int, float] = {}

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def ask(
        self,
        messages: Sequence[Message],
        occasion: Occasion,
        useful: Callable[[str], bool] = lambda text: True,
    ) -> Reply:
        """One answer, from the model that the occasion names or from another one.

        Args:
            messages: The conversation so far.
            occasion: What it is for.
            useful: Whether something can be made of an answer; called once, it decides what the
                call is recorded as. An answer of no use is returned all the same.

        Raises:
            NoAnswerError: No model gives one.
        """
        causes: list[str] = []
        for member in self._order(occasion):
            try:
                reply = self._ask_one(member, messages, occasion, useful)
            except SpentError as error:
                causes.append(str(error))
            except ModelError as error:
                causes.append(f"{member.model.name}: {error}")
                self.failed(member.model.name, error)
            else:
                self.answered(member.model.name)
                return reply
            if self._closed.is_set():
                break
        text = "; ".join(causes) or self._who_rests()
        raise NoAnswerError(f"no model answers: {text}", CallOutcome.REFUSED)

    @contextmanager
    def billed(self, occasion: Occasion, name: str, estimate_usd: float | None) -> Iterator[Bill]:
        """Sets aside what somebody's answer may cost; at the end it is paid for, and told of.

        Args:
            occasion: What it is for.
            name: Of whoever answers: a model, or an agent.
            estimate_usd: What it may cost; None where nobody knows.

        Raises:
            SpentError: So much isn't left.
        """
        reserved = self.purse.reserve(name, estimate_usd)
        number, began = self._note_start(occasion, name, reserved)
        bill = Bill()
        try:
            yield bill
        finally:
            if bill.cost_usd is None and bill.outcome is CallOutcome.TIMED_OUT:
                bill.cost_usd = reserved or None  # whoever works on it bills it all the same
            answered = bill.outcome in (CallOutcome.ANSWERED, CallOutcome.UNUSABLE)
            self.purse.settle(name, reserved, bill.cost_usd, answered=answered)
            with self._lock:
                mine = self._in_flight.pop(number, None)
                spent = self._bills.get(occasion.proposal, 0.0)
                self._bills[occasion.proposal] = spent + (bill.cost_usd or 0.0)
            if mine is not None:
                self._tell(occasion, name, began, bill)

    def take_bill(self, proposal: int) -> float:
        """What the calls for a proposal have cost, failed ones too; asked for once."""
        with self._lock:
            return self._bills.pop(proposal, 0.0)

    def close(self) -> None:
        """Begins no other call. Those in flight are told of as abandoned, at what they may cost."""
        self._closed.set()
        with self._lock:
            left, self._in_flight = self._in_flight, {}
        for occasion, name, began, usd in left.values():
            bill = Bill(CallOutcome.ABANDONED, "", cost_usd=usd or None)
            self._tell(occasion, name, began, bill)

    # Whom to ask

    def resting(self) -> dict[str, float]:
        """Who keeps failing and isn't asked for now, by name: for how many seconds yet."""
        now = self._clock()
        with self._lock:
            left = {name: one.resting_until - now for name, one in self._staminas.items()}
        return {name: seconds for name, seconds in left.items() if seconds > 0}

    def answered(self, name: str) -> None:
        """Notes that a model or an agent is well."""
        with self._lock:
            stamina = self._staminas[name]
            stamina.failures = stamina.rests = 0

    def failed(self, name: str, error: ModelError) -> None:
        """Notes that a model or an agent owes an answer; it is rested if it keeps failing.

        Args:
            name: Its name.
            error: What came instead, after all attempts.
        """
        with self._lock:
            stamina, now = self._staminas[name], self._clock()
            # A filter withholds one answer, which says nothing of the next. Whoever rests already
            # was asked by several at once: that is one failure.
            filtered = error.outcome is CallOutcome.FILTERED
            if filtered or self._closed.is_set() or stamina.resting_until > now:
                return
            stamina.failures += 1
            asked = min(error.retry_after_seconds or 0.0, MOST_ASKED_REST_SECONDS)
            hopeless = error.outcome in HOPELESS or asked > MOST_RETRY_AFTER_SECONDS
            if not hopeless and stamina.failures < FAILURES_BEFORE_REST:
                return
            rest = self._conduct.first_rest_seconds * 2.0 ** min(stamina.rests, MOST_DOUBLINGS)
            rest = max(min(rest, MOST_REST_SECONDS), asked)
            stamina.rests, stamina.failures = stamina.rests + 1, 0
            stamina.resting_until = now + rest
        self._say(f"{name} is rested for {rest:.0f} s: {error}")

    def _order(self, occasion: Occasion) -> list[Member]:
        """Members that aren't resting, in the order in which they are asked."""
        resting = self.resting()
        awake = [one for name, one in self._members.items() if name not in resting]
        chance, order = random.Random(f"{occasion.seed}:{occasion.proposal}"), list[Member]()
        while awake:
            [chosen] = chance.choices(awake, [one.weight for one in awake])
            awake.remove(chosen)
            order.append(chosen)
        order.sort(key=lambda one: one.model.name != occasion.model)
        return order

    def _who_rests(self) -> str:
        resting = self.resting().items()
        said = [f"{name} rests for another {left:.0f} s" for name, left in resting]
        return ", ".join(said) or "there is none"

    # Asking one

    def _ask_one(
        self,
        member: Member,
        messages: Sequence[Message],
        occasion: Occasion,
        useful: Callable[[str], bool],
    ) -> Reply:
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, ModelError)),
            stop=self._should_stop,
            wait=self._wait,
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )
        return retrying(self._call, member.model, messages, occasion, useful)

    def _should_stop(self, state: RetryCallState) -> bool:
        error = _error_of(state)
        asked = error.retry_after_seconds or 0.0
        most = MOST_ATTEMPTS.get(error.outcome, 1)
        too_long = asked > MOST_RETRY_AFTER_SECONDS
        return too_long or self._closed.is_set() or state.attempt_number >= most

    def _wait(self, state: RetryCallState) -> float:
        asked = _error_of(state).retry_after_seconds
        backoff = wait_exponential(self._conduct.first_wait_seconds, MOST_WAIT_SECONDS)
        return backoff(state) if asked is None else max(0.0, asked)

    def _call(
        self,
        model: Model,
        messages: Sequence[Message],
        occasion: Occasion,
        useful: Callable[[str], bool],
    ) -> Reply:
        estimate = model.estimate_usd(sum(count_tokens(message.text) for message in messages))
        with self._places:
            if self._closed.is_set():
                raise ModelError("the engine is ending", CallOutcome.ABANDONED)
            with self.billed(occasion, model.name, estimate) as bill:
                try:
                    reply = model.complete(messages)
                except ModelError as error:
                    bill.take(error.reply)
                    bill.outcome, bill.cause = error.outcome, str(error)
                    raise
                bill.take(reply)
                bill.outcome, bill.cause = CallOutcome.UNUSABLE, ""
                if useful(reply.text):
                    bill.outcome = CallOutcome.ANSWERED
        return reply

    def _note_start(self, occasion: Occasion, name: str, reserved: float) -> tuple[int, float]:
        began = self._clock()
        with self._lock:
            number, self._next_call = self._next_call, self._next_call + 1
            self._in_flight[number] = (occasion, name, began, reserved)
        return number, began

    def _tell(self, occasion: Occasion, model: str, began: float, bill: Bill) -> None:
        self._on_call(
            Call(
                proposal=occasion.proposal,
                operator=occasion.operator,
                role=occasion.role,
                model=model,
                program_sha=occasion.program_sha,
                outcome=bill.outcome,
                called_at=utc(began),
                latency_seconds=max(0.0, self._clock() - began),
                tokens_in=bill.tokens_in,
                tokens_out=bill.tokens_out,
                cost_usd=bill.cost_usd,
                cause=bill.cause,
            )
        )


def _error_of(state: RetryCallState) -> ModelError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, ModelError)
    return error
