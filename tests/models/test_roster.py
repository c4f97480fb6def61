"""The roster: what is tried again, who is rested, what is paid, and that every call is told of."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from evo.models.model import Message, Model, ModelError, Reply
from evo.models.purse import Purse, SpentError
from evo.models.roster import Conduct, Member, NoAnswerError, Occasion, Roster
from evo.models.scripted_model import Answer, ScriptedModel
from evo.nouns import Call, CallOutcome

ASKED = [Message("user", "Say something.")]
QUICK = Conduct(concurrent_calls=4, first_wait_seconds=0.001, first_rest_seconds=60.0)


def fault(outcome: CallOutcome, retry_after: float | None = None) -> ModelError:
    return ModelError(f"told to be {outcome}", outcome, retry_after_seconds=retry_after)


@dataclass
class Office:
    """A roster and what it told."""

    models: Iterable[Model]
    limit_usd: float | None = None
    calls: list[Call] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.purse = Purse(self.limit_usd)
        self.roster = Roster(
            [Member(model) for model in self.models],
            purse=self.purse,
            on_call=self.calls.append,
            clock=lambda: self.now,
            say=self.said.append,
            conduct=QUICK,
        )

    def ask(self, proposal: int = 1, model: str = "") -> Reply:
        return self.roster.ask(ASKED, Occasion(proposal, "mutate", "optimizer", "sha", model))

    @property
    def outcomes(self) -> list[str]:
        return [str(call.outcome) for call in self.calls]


def office(*answers: Answer, limit_usd: float | None = None, usd: float = 0.0) -> Office:
    return Office([ScriptedModel("one", answers, usd_per_call=usd)], limit_usd)


@pytest.mark.parametrize(
    "outcome",
    [
        CallOutcome.TIMED_OUT,
        CallOutcome.RATE_LIMITED,
        CallOutcome.OVERLOADED,
        CallOutcome.DISCONNECTED,
        CallOutcome.EMPTY,
        CallOutcome.TRUNCATED,
    ],
)
def test_what_may_pass_is_tried_again_and_both_calls_are_told(outcome: CallOutcome) -> None:
    made = office(fault(outcome), "yes")
    assert made.ask().text == "yes"
    assert made.outcomes == [outcome, "answered"]
    assert made.calls[0].cause == f"told to be {outcome}"
    assert {call.proposal for call in made.calls} == {1}
    first = made.calls[0]
    assert (first.operator, first.role, first.model) == ("mutate", "optimizer", "one")
    assert first.program_sha == "sha"


@pytest.mark.parametrize(
    "outcome", [CallOutcome.FILTERED, CallOutcome.TOO_LONG, CallOutcome.REFUSED]
)
def test_what_would_fail_again_is_not_tried_again(outcome: CallOutcome) -> None:
    made = office(fault(outcome), "never heard")
    with pytest.raises(NoAnswerError, match=f"one: told to be {outcome}"):
        made.ask()
    assert made.outcomes == [outcome]


def test_attempts_come_to_an_end() -> None:
    made = office(*[fault(CallOutcome.OVERLOADED) for _ in range(9)])
    with pytest.raises(NoAnswerError):
        made.ask()
    assert made.outcomes == ["overloaded"] * 4


def test_retry_after_is_waited_for_and_a_long_one_is_a_rest() -> None:
    made = office(fault(CallOutcome.RATE_LIMITED, 0.0), "yes")
    assert made.ask().text == "yes"
    made = office(fault(CallOutcome.RATE_LIMITED, 5000.0), "yes")
    with pytest.raises(NoAnswerError):
        made.ask()
    assert made.said == ["one is rested for 5000 s: told to be rate_limited"]
    made.now += 4999
    with pytest.raises(NoAnswerError, match="one rests for another 1 s"):
        made.ask()
    made.now += 2
    assert made.ask().text == "yes"


def test_a_model_that_keeps_failing_is_rested_longer_each_time_and_the_others_go_on() -> None:
    broken = ScriptedModel("broken", lambda messages: fault(CallOutcome.REFUSED))
    made = Office([broken, ScriptedModel("sound", lambda messages: "yes")])
    for number in range(2):
        assert made.ask(number, "broken").model == "sound"
    assert made.said == ["broken is rested for 60 s: told to be refused"]
    before = len(made.calls)
    assert made.ask(3, "broken").model == "sound"
    assert len(made.calls) == before + 1
    made.now += 61
    for number in range(2):
        assert made.ask(number, "broken").model == "sound"
    assert made.said[1:] == ["broken is rested for 120 s: told to be refused"]


def test_several_that_fail_at_once_are_one_failure() -> None:
    made = office()
    for _ in range(8):
        made.roster.failed("one", fault(CallOutcome.UNAUTHORISED))
    assert made.said == ["one is rested for 60 s: told to be unauthorised"]


def test_a_rest_ends_within_a_day_whatever_is_asked_for() -> None:
    made = office(fault(CallOutcome.RATE_LIMITED, float("inf")), "yes")
    with pytest.raises(NoAnswerError):
        made.ask()
    made.now += 24 * 3600 + 1
    assert made.ask().text == "yes"


def test_a_model_that_is_down_for_months_is_still_tried_now_and_then() -> None:
    made = office()
    for _ in range(1100):
        made.roster.failed("one", fault(CallOutcome.UNAUTHORISED))
        made.now += 3601
        assert not made.roster.resting()


def test_a_wrong_key_rests_a_model_at_once() -> None:
    made = office(fault(CallOutcome.UNAUTHORISED), "yes")
    with pytest.raises(NoAnswerError):
        made.ask()
    assert made.said == ["one is rested for 60 s: told to be unauthorised"]


def test_a_filter_never_rests_a_model() -> None:
    faults = [fault(CallOutcome.FILTERED) for _ in range(5)]
    made = office(fault(CallOutcome.REFUSED), *faults, "yes")
    for _ in range(6):
        with pytest.raises(NoAnswerError):
            made.ask()
    assert made.said == []
    assert made.ask().text == "yes"


def test_weights_and_seeds_decide_who_is_asked() -> None:
    members = [
        Member(ScriptedModel(name, lambda messages: "yes"), weight)
        for name, weight in (("often", 3.0), ("rarely", 1.0))
    ]

    def asked() -> list[str]:
        roster = Roster(members, purse=Purse(None), on_call=lambda call: None, clock=lambda: 0.0)
        return [roster.ask(ASKED, Occasion(number, "mutate")).model for number in range(400)]

    first = asked()
    assert first == asked()
    assert 250 < first.count("often") < 350


def test_an_answer_of_no_use_is_returned_and_told_as_such() -> None:
    made = office("prose")
    reply = made.roster.ask(ASKED, Occasion(1, "mutate"), useful=lambda text: False)
    assert reply.text == "prose"
    assert made.outcomes == ["unusable"]


def test_costs_tokens_and_latency_are_told_also_of_what_failed() -> None:
    half = Reply("half", "one", tokens_in=10, tokens_out=20, cost_usd=0.5)
    cut = ModelError("cut", CallOutcome.TRUNCATED, reply=half)
    made = office(cut, Reply("whole", "one", 10, 30, 0.75))
    made.ask()
    assert [(call.tokens_in, call.tokens_out, call.cost_usd) for call in made.calls] == [
        (10, 20, 0.5),
        (10, 30, 0.75),
    ]
    assert made.purse.spent_usd == 1.25


def test_no_call_begins_that_might_cost_more_than_is_left() -> None:
    made = office(*["yes"] * 9, limit_usd=1.0, usd=0.3)
    for _ in range(3):
        made.ask()
    before = made.purse.is_spent
    with pytest.raises(NoAnswerError, match=r"more than the \$1 that --cost allows"):
        made.ask()
    assert (before, made.purse.is_spent) == (False, True)
    assert made.purse.spent_usd == pytest.approx(0.9)
    assert len(made.calls) == 3
    assert made.said == []


def test_calls_in_flight_count_against_the_limit() -> None:
    purse = Purse(1.0)
    first = purse.reserve("one", 0.6)
    with pytest.raises(SpentError, match=r"in flight may cost \$0\.6"):
        purse.reserve("one", 0.6)
    assert not purse.is_spent
    purse.settle("one", first, 0.1)
    assert purse.reserve("one", 0.6) == 0.1, "it is known by now what a call costs"


def test_more_is_allowed_on_top_of_what_was_spent() -> None:
    purse = Purse(1.0)
    purse.settle("one", purse.reserve("one", 0.9), 1.0)
    assert purse.is_spent
    purse.allow(0.5)
    assert (purse.is_spent, purse.limit_usd) == (False, 1.5)
    with pytest.raises(SpentError, match=r"than the \$1.5 that"):
        purse.reserve("one", 1.0)
    purse.allow(None)
    assert purse.reserve("one", 1.0) == 1.0


def test_a_dearer_call_than_all_before_is_what_the_next_one_may_cost() -> None:
    purse = Purse(10.0)
    purse.settle("one", purse.reserve("one", 0.1), 3.0)
    assert purse.reserve("one", 0.1) == 3.0
    assert purse.reserve("two", 0.1) == 0.1


def test_calls_at_a_time_are_limited() -> None:
    lock, active, most = threading.Lock(), 0, 0
    gate = threading.Event()

    def script(messages: object) -> str:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
            if active == QUICK.concurrent_calls:
                gate.set()
        gate.wait(10)
        with lock:
            active -= 1
        return "yes"

    made = Office([ScriptedModel("one", script)])
    threads = [threading.Thread(target=made.ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == QUICK.concurrent_calls
    assert sorted(call.proposal for call in made.calls) == list(range(12))


def test_a_roster_that_is_closed_tells_of_calls_in_flight_once_and_begins_none() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def script(messages: object) -> str:
        begun.set()
        go_on.wait(10)
        return "late"

    made = Office([ScriptedModel("one", script, usd_per_call=0.25)])
    thread = threading.Thread(target=made.ask)
    thread.start()
    assert begun.wait(10)
    made.roster.close()
    go_on.set()
    thread.join(10)
    assert made.outcomes == ["abandoned"]
    assert made.calls[0].cost_usd == 0.25
    with pytest.raises(NoAnswerError, match="the engine is ending"):
        made.ask(2)
    assert len(made.calls) == 1


def test_a_script_that_ends_is_a_model_that_is_overloaded() -> None:
    made = office("only this")
    assert made.ask().text == "only this"
    with pytest.raises(NoAnswerError, match="the script has ended"):
        made.ask()


def test_a_call_without_an_answer_says_nothing_of_what_the_next_may_cost() -> None:
    purse = Purse(1.0)
    purse.settle("one", purse.reserve("one", 0.6), 0.0001, answered=False)
    held = purse.reserve("one", 0.6)
    with pytest.raises(SpentError):
        purse.reserve("one", 0.6)
    purse.settle("one", held, None)


def test_a_call_that_timed_out_is_booked_at_what_it_may_cost() -> None:
    made = office(*[fault(CallOutcome.TIMED_OUT)] * 2, usd=0.25)
    with pytest.raises(NoAnswerError):
        made.ask()
    assert [call.cost_usd for call in made.calls] == [0.25, 0.25]
    assert made.purse.spent_usd == 0.5
