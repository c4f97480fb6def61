"""litellm against a real server on loopback: answers, bills, and every way to fail."""

import os
import random
import subprocess
import sys

import pytest

from evo.config import ModelSettings
from evo.models.litellm_model import LiteLLMModel, load, retry_after
from evo.models.model import Message, ModelError
from evo.nouns import CallOutcome
from tests.models.server import Said, Server, serving

ASKED = [Message("system", "Be brief."), Message("user", "Say something.")]


def model(server: Server, **settings: object) -> LiteLLMModel:
    values = {"name": "openai/gpt-4o-mini", "api_base": server.base, "timeout_seconds": 20.0}
    return LiteLLMModel(ModelSettings(**(values | settings)))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret-of-the-environment")
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)


def failure(said: Said, **settings: object) -> ModelError:
    with serving(said) as server, pytest.raises(ModelError) as caught:
        model(server, **settings).complete(ASKED)
    assert "\n" not in str(caught.value)
    assert "sk-a-secret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_comes_with_its_tokens_and_its_price(stream: bool) -> None:
    with serving(Said("A change: größer. " * 20, tokens=(2_000_000, 1_000_000))) as server:
        reply = model(server, stream=stream).complete(ASKED)
    assert reply.text == "A change: größer. " * 20
    assert (reply.tokens_in, reply.tokens_out) == (2_000_000, 1_000_000)
    assert reply.cost_usd == pytest.approx(2 * 0.15 + 0.60)
    assert reply.seconds > 0


def test_the_request_carries_messages_settings_and_the_key_of_the_environment() -> None:
    with serving(Said("yes")) as server:
        model(server, temperature=0.25, answer_tokens=77).complete(ASKED)
    [request] = server.requests
    assert [(one["role"], one["content"]) for one in request.body["messages"]] == [
        ("system", "Be brief."),
        ("user", "Say something."),
    ]
    assert request.body["temperature"] == 0.25
    assert 77 in (request.body.get("max_tokens"), request.body.get("max_completion_tokens"))
    assert request.headers["authorization"] == "Bearer sk-a-secret-of-the-environment"


def test_litellms_own_variables_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Said("yes")) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        assert model(server, api_base="").complete(ASKED).text == "yes"


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with serving(Said("yes")) as server:
        assert model(server).complete(ASKED).text == "yes"


def test_a_price_of_ones_own_goes_above_the_table_and_an_unknown_one_is_none() -> None:
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 10.0}
    with serving(Said("yes", tokens=(1000, 100))) as server:
        own = model(server, name="openai/mine", **prices)
        assert own.complete(ASKED).cost_usd == pytest.approx(0.002)
        assert own.estimate_usd(1000) == pytest.approx(0.041)
        nobody = model(server, name="openai/mine")
        assert nobody.complete(ASKED).cost_usd is None
        assert nobody.estimate_usd(1000) is None


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(status=401), CallOutcome.UNAUTHORISED),
        (Said(status=403), CallOutcome.UNAUTHORISED),
        (Said(status=404), CallOutcome.UNKNOWN_MODEL),
        (Said(status=400), CallOutcome.REFUSED),
        (Said(status=429), CallOutcome.RATE_LIMITED),
        (Said(status=500), CallOutcome.OVERLOADED),
        (Said(status=503), CallOutcome.OVERLOADED),
        (Said(body=b"<html>a proxy's page</html>"), CallOutcome.OVERLOADED),
        (Said(body=b'{"choices": []}'), CallOutcome.OVERLOADED),
        (Said(hangs_up=True), CallOutcome.DISCONNECTED),
        (Said(""), CallOutcome.EMPTY),
        (Said(None), CallOutcome.EMPTY),
        (Said("def half(", finish="length"), CallOutcome.TRUNCATED),
        (Said("", finish="content_filter"), CallOutcome.FILTERED),
        (Said("x" * 2_000_001), CallOutcome.UNUSABLE),
    ],
    ids=lambda value: str(value)[:60],
)
def test_each_way_to_fail_has_a_name(said: Said, outcome: CallOutcome) -> None:
    assert failure(said).outcome is outcome


def test_a_prompt_that_is_too_long_and_a_filter_are_told_from_other_wrong_requests() -> None:
    long = "This model's maximum context length is 8192 tokens. However, you requested 9000."
    assert failure(Said(status=400, error=long)).outcome is CallOutcome.TOO_LONG
    body = b'{"error": {"message": "flagged", "code": "content_policy_violation"}}'
    assert failure(Said(status=400, body=body)).outcome is CallOutcome.FILTERED


@pytest.mark.parametrize(
    "said", ["Invalid model name passed in model=x", "The model `x` does not exist"]
)
def test_a_wrong_request_for_want_of_the_model_is_an_unknown_model(said: str) -> None:
    assert failure(Said(status=400, error=said)).outcome is CallOutcome.UNKNOWN_MODEL


def test_a_slow_server_is_a_time_out() -> None:
    error = failure(Said("late", seconds=3.0), timeout_seconds=0.3)
    assert error.outcome is CallOutcome.TIMED_OUT


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_sends_a_byte_now_and_then_is_a_time_out_too(stream: bool) -> None:
    error = failure(Said("late", drips=6.0), timeout_seconds=0.5, stream=stream)
    assert error.outcome is CallOutcome.TIMED_OUT


@pytest.mark.parametrize("date", ["9" * 400, "x, 99999999999999999999 Jan 2024 00:00:00 GMT"])
def test_a_retry_after_beyond_all_measure_is_none_or_endless(date: str) -> None:
    assert retry_after({"retry-after": date}, 0.0) in (None, float("inf"))


def test_a_stream_that_breaks_off_fails() -> None:
    error = failure(Said("words " * 100, hangs_up=True), stream=True)
    assert error.outcome in (CallOutcome.DISCONNECTED, CallOutcome.OVERLOADED)


def test_what_was_billed_for_a_truncated_answer_is_told() -> None:
    error = failure(Said("half", finish="length", tokens=(1_000_000, 1)))
    assert error.reply is not None
    assert error.reply.cost_usd == pytest.approx(0.15, rel=1e-4)


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    error = failure(Said(status=429, headers={"Retry-After": "7"}))
    assert error.retry_after_seconds == 7.0
    date = {"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}
    assert retry_after(date, now=100.0) == pytest.approx(20.0)
    assert retry_after(date, now=200.0) == 0.0
    assert retry_after({"retry-after": "soon"}, now=0.0) is None
    assert retry_after({}, now=0.0) is None


def test_no_key_and_a_name_without_a_provider_are_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    for name in ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"):
        monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
        with pytest.raises(ModelError) as caught:
            LiteLLMModel(ModelSettings(name=name)).complete(ASKED)
        assert caught.value.outcome is CallOutcome.UNAUTHORISED
    with pytest.raises(ModelError, match="needs a provider before it") as caught:
        LiteLLMModel(ModelSettings(name="mine")).complete(ASKED)
    assert caught.value.outcome is CallOutcome.UNKNOWN_MODEL


def test_the_first_use_leaves_the_global_random_state_as_it_was() -> None:
    state = random.getstate()
    assert load() is load()
    assert random.getstate() == state


def test_nothing_on_the_way_to_a_command_imports_litellm() -> None:
    code = (
        "import sys; import evo.cli.main, evo.tui.app, evo.engine.assembly, "
        "evo.models.litellm_model; assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_fresh_import_of_litellm_is_kept_off_the_net_and_the_random_state() -> None:
    code = (
        "import sys, random; random.seed(1); "
        "from evo.models.litellm_model import load; before = random.getstate(); load(); "
        "assert 'litellm' in sys.modules and random.getstate() == before; import os; "
        "assert os.environ['LITELLM_LOCAL_MODEL_COST_MAP'] == 'True'"
    )
    variables = {
        name: value for name, value in os.environ.items() if name != "LITELLM_LOCAL_MODEL_COST_MAP"
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=variables)
