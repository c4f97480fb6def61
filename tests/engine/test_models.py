"""A whole search with language models: over a real server, scripted ones, and none that answers."""

import itertools
import json
import sys
import threading
from pathlib import Path

import pytest

from evo.config import load
from evo.engine import heartbeat, inbox
from evo.engine.assembly import assemble
from evo.engine.engine import MOST_IN_VAIN_IN_A_ROW, Engine
from evo.engine.heartbeat import Phase
from evo.engine.inbox import Verb
from evo.models.litellm_model import load as load_litellm
from evo.models.model import Message, Model, ModelError
from evo.models.roster import Conduct
from evo.models.scripted_model import ScriptedModel
from evo.nouns import CallOutcome
from evo.sandbox import cells
from tests.models.muse import FAULTS, Muse, block
from tests.models.server import Request, Said, Server, serving
from tests.projects import make_project, rows, sql, wait_until

QUICK = Conduct(concurrent_calls=8, first_wait_seconds=0.001, first_rest_seconds=0.2)
MODEL = "openai/gpt-4o-mini"
PROGRAM = """\
---
name: small
---
Lower is better.

## Role: gambler

Be bold.

## Role: debugger

Read the error.
"""


AGENT = """
import pathlib, random
file = pathlib.Path("script.py")
file.write_text(file.read_text().replace("KNOB = ", f"KNOB = {random.random()} + "))
print("paid 4 cents")
"""
"""What it calls a cent is a dollar."""

LINE = "score = max(1, 2)"
UNTUNED = f"{LINE}\nprint('score:', score)\n"
"""Nothing in it can be tuned, so that only a model finds anything."""
LESS = f"Title: Less\nRationale: Less is better.\n\n{block(LINE, 'score = 1')}"


@pytest.fixture(autouse=True)
def an_engines_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine adopts no orphans: it has other children than cells, such as referees."""
    monkeypatch.setattr(cells, "_adopting", False)


def project_with(folder: Path, server: Server, **more: object) -> Path:
    """A small project with one model on loopback."""
    project = make_project(folder, slots=2)
    settings = (project / "pyproject.toml").read_text()
    extra = "".join(f"{name} = {json.dumps(value)}\n" for name, value in more.items())
    model = (
        f'[[tool.evo.models]]\nname = "{MODEL}"\napi_base = "{server.base}"\ntimeout_seconds = 20\n'
    )
    settings = settings.replace("founders = 2\n", f"founders = 1\n{extra}")
    (project / "pyproject.toml").write_text(f"{settings}\n{model}")
    (project / "program.md").write_text(PROGRAM)
    return project


def engine_of(
    project: Path, *models: Model, conduct: Conduct = QUICK, **overrides: object
) -> Engine:
    settings = load(project, {name.replace("__", "."): value for name, value in overrides.items()})
    return assemble(
        project=project,
        settings=settings,
        folder=project / "population" / settings.run,
        archive_folder=project / "archive" / settings.run,
        baseline=(project / settings.task.editable).read_text(),
        models=models,
        conduct=conduct,
    )


def scripted(muse: Muse, name: str = "scripted", usd_per_call: float = 0.0) -> ScriptedModel:
    def script(messages: object) -> str:
        assert isinstance(messages, list)
        return muse.answer("\n".join(message.text for message in messages))

    return ScriptedModel(name, script, usd_per_call=usd_per_call)


def test_a_search_and_its_resumption_mutate_cross_and_repair_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    load_litellm()  # or the trials are over before it is
    wanted = {"mutate", "cross", "repair"}
    with serving(Muse(slips=0.35, conflict=True)) as server:
        project = project_with(tmp_path, server)
        for session in range(8):
            engine_of(project, trials=8).run()
            found = sql(
                project,
                "SELECT operator, role, model, count(*) AS n, sum(cost_usd) AS usd, "
                "count(*) FILTER (outcome = 'accepted') AS accepted FROM proposals "
                "WHERE model <> '' GROUP BY ALL",
            )
            by_operator = {str(one["operator"]): one for one in found}
            accepted = {name for name, one in by_operator.items() if one["accepted"]}
            if session and wanted <= accepted:
                break
    ids = [row[0] for row in rows(project, "SELECT id FROM llm_calls ORDER BY id")]
    assert ids == list(range(len(ids)))
    assert wanted <= set(by_operator), found
    assert by_operator["mutate"]["role"] == "gambler"
    assert by_operator["repair"]["role"] == "debugger"
    for operator in ("mutate", "cross", "repair"):
        one = by_operator[operator]
        assert one["model"] == MODEL
        assert one["usd"] > 0  # type: ignore[operator]
        assert one["accepted"] > 0  # type: ignore[operator]
    [bill] = sql(
        project,
        "SELECT sum(cost_usd) AS calls, (SELECT sum(cost_usd) FROM proposals) AS proposals, "
        "min(latency_seconds) > 0 AS timed, min(tokens_in) AS tokens FROM llm_calls",
    )
    assert bill["calls"] >= bill["proposals"] * 0.999  # type: ignore[operator]
    assert (bill["timed"], bill["tokens"]) == (True, 1000)
    crossed = rows(
        project,
        "SELECT count(*) FROM parents p JOIN variants v ON v.id = p.variant "
        "WHERE v.operator = 'cross' GROUP BY v.id",
    )
    assert crossed
    assert all(count == 2 for [count] in crossed)
    assert rows(project, "SELECT count(*) > 0 FROM model_yield WHERE better > 0") == [(True,)]
    assert {row[0] for row in rows(project, "SELECT role FROM role_yield")} >= {"gambler"}
    assert len(rows(project, "FROM program_yield")) == 1
    written = [path for path in (project / "population" / "main").rglob("*") if path.is_file()]
    assert not any(b"sk-of-the-environment" in path.read_bytes() for path in written)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_calls_with_faults_of_every_kind_lose_and_double_nothing(tmp_path: Path) -> None:
    muse = Muse(slips=0.1, faults=0.3)
    with serving(muse) as server:
        project = project_with(tmp_path, server, proposals_ahead=8)
        path = project / "pyproject.toml"
        path.write_text(
            path.read_text().replace("timeout_seconds = 20\n", "timeout_seconds = 0.5\n")
        )
        for _ in range(12):
            assert engine_of(project, trials=150).run() is Phase.STOPPED
            if len(server.requests) >= 1000:
                break
        asked = len(server.requests)
    assert asked >= 1000
    assert set(muse.kinds) >= set(FAULTS), "a kind of fault never came up"
    assert rows(project, "SELECT count(*) FROM llm_calls")[0][0] >= asked * 0.97
    [(missing,)] = rows(project, "SELECT max(id) + 1 - count(*) FROM proposals")
    strays = "SELECT count(*) FROM llm_calls WHERE proposal > (SELECT max(id) FROM proposals)"
    [(stray,)] = rows(project, strays)
    assert max(missing, stray) <= 12 * 16, "only proposals that an engine's end cut short"
    lost = (
        "SELECT count(*) FROM proposals p FULL JOIN variants v ON v.proposal = p.id "
        "WHERE (p.outcome = 'accepted') <> (v.id IS NOT NULL) OR p.id IS NULL"
    )
    assert rows(project, lost) == [(0,)]
    outcomes = {row[0] for row in rows(project, "SELECT DISTINCT outcome FROM llm_calls")}
    assert outcomes >= {
        "answered", "unusable", "empty", "truncated", "filtered", "timed_out", "rate_limited",
        "overloaded", "disconnected", "unauthorised", "unknown_model",
    }  # fmt: skip
    assert not rows(project, "SELECT cause FROM llm_calls WHERE cause LIKE '%sk-abc%'")


def test_the_cost_limit_ends_the_search_before_it_is_crossed(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2)
    model = scripted(Muse(), usd_per_call=0.25)
    assert engine_of(project, model, cost=1.6).run() is Phase.STOPPED
    [(spent, calls)] = rows(project, "SELECT sum(cost_usd), count(*) FROM llm_calls")
    assert (spent, calls) == (1.5, 6)
    assert rows(project, "SELECT how FROM sessions") == [("models have cost $1.5000",)]
    last = heartbeat.read(project / "population" / "main")
    assert last is not None
    assert (last.spent_usd, last.limit_usd) == (1.5, 1.6)
    assert last.seconds_left == pytest.approx(last.seconds / 1.5 * 0.1)


def test_an_agent_proposes_behind_walls_and_its_bill_counts(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2)
    (project / "agent.py").write_text(AGENT)
    with (project / "pyproject.toml").open("a") as settings:
        settings.write(f"""
[tool.evo.agent]
command = {json.dumps(f"{sys.executable} {project / 'agent.py'}")}
readable = [{json.dumps(str(project / "agent.py"))}]
cost = 'paid (\\d+) cents'
usd_per_call = 0.5
""")
    engine = engine_of(project, cost=16.0, agent__weight=100.0)
    phase = engine.run()
    assert rows(project, "SELECT how FROM sessions") == [("models have cost $16.0000",)]
    assert phase is Phase.STOPPED
    found = rows(project, "SELECT model, outcome, cost_usd, tokens_in FROM llm_calls")
    assert {(name, cost) for name, _, cost, _ in found} == {(Path(sys.executable).name, 4.0)}
    assert len(found) == 4, "another one might have been too dear"
    made = rows(project, "SELECT count(*), sum(cost_usd) FROM proposals WHERE operator = 'agent'")
    assert made == [(4, 16.0)]


def test_with_no_model_left_the_offline_operators_carry_the_search(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2)

    def fail(messages: object) -> ModelError:
        return ModelError("the key is wrong", CallOutcome.UNAUTHORISED)

    assert engine_of(project, ScriptedModel("locked", fail), trials=8).run() is Phase.STOPPED
    accepted = "SELECT DISTINCT operator FROM proposals WHERE outcome = 'accepted'"
    operators = {row[0] for row in rows(project, accepted)}
    assert operators > {"baseline"}
    assert "mutate" not in operators
    notes = rows(project, "SELECT text FROM events WHERE kind = 'note'")
    assert any("locked is rested for" in text and "the key is wrong" in text for [text] in notes)


def test_a_search_in_which_only_a_model_finds_anything_outlasts_its_rest(tmp_path: Path) -> None:
    project = make_project(tmp_path, script=UNTUNED)
    calls = itertools.count()

    def script(messages: object) -> str | ModelError:
        return LESS if next(calls) else ModelError("it is down", CallOutcome.UNAUTHORISED)

    model, conduct = ScriptedModel("down", script), Conduct(first_rest_seconds=8.0)
    engine = engine_of(project, model, conduct=conduct, trials=2, proposals_ahead=1)
    assert engine.run() is Phase.STOPPED
    assert rows(project, "SELECT count(*) FROM variants WHERE model = 'down'") == [(1,)]


def test_a_search_waits_for_an_answer_however_many_others_are_of_no_use(tmp_path: Path) -> None:
    project = make_project(tmp_path, script=UNTUNED)
    calls = itertools.count()

    def seen(trials: int, refused: int) -> bool:
        beat = heartbeat.read(project / "population" / "main")
        return beat is not None and beat.trials_finished >= trials and beat.refused >= refused

    def script(messages: object) -> str:
        if next(calls):
            wait_until(lambda: seen(1, 0), "the baseline is measured")
            return "I don't know."
        wait_until(lambda: seen(1, MOST_IN_VAIN_IN_A_ROW), "nothing else is found")
        return LESS

    assert engine_of(project, ScriptedModel("slow", script), trials=3).run() is Phase.STOPPED
    assert rows(project, "SELECT count(*) FROM variants WHERE model = 'slow'") == [(1,)]


def test_a_program_that_is_edited_rules_the_next_proposal_with_its_roles(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=1)
    program, muse, told = project / "program.md", Muse(), list[str]()
    program.write_text(PROGRAM)

    def script(messages: object) -> str:
        assert isinstance(messages, list)
        told.append(messages[0].text)
        if len(told) == 2:
            program.write_text(PROGRAM.replace("gambler", "poet").replace("bold", "brief"))
        return muse.answer(messages[1].text)

    model = ScriptedModel("one", script)
    sequence = (
        "SELECT p.role, g.text LIKE '%poet%' FROM proposals p JOIN programs g "
        "ON g.sha = p.program_sha WHERE p.operator = 'mutate' ORDER BY p.id"
    )
    engine_of(project, model, trials=11, proposals_ahead=0).run()
    found = rows(project, sequence)
    assert {role for role, edited in found if not edited} == {"gambler"}
    assert {role for role, edited in found if edited} == {"poet"}
    assert "Be bold." in told[0]
    assert "Be brief." in told[-1]
    engine_of(project, model, trials=2, proposals_ahead=0).run()
    assert {role for role, _ in rows(project, sequence)[len(found) :]} <= {"poet"}
    by_program = rows(project, "SELECT proposals FROM program_yield ORDER BY first_seen")
    assert len(by_program) == 2
    assert all(count > 0 for [count] in by_program)


def test_a_model_is_told_what_its_duplicate_did_and_once_only(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=1)
    talks: list[list[Message]] = []

    def script(messages: object) -> str:
        assert isinstance(messages, list)
        talks.append(list(messages))
        old = next(line for line in messages[1].text.splitlines() if "│ KNOB = " in line)
        block = f"<<<<<<< SEARCH\n{old}\n=======\nKNOB = 9.0\n>>>>>>> REPLACE"
        return f"Title: Always this\nRationale: I know no other.\n\n{block}"

    engine_of(project, ScriptedModel("stubborn", script), trials=12, proposals_ahead=0).run()
    assert all(len(talk) <= 6 for talk in talks)
    told = [talk[-1].text for talk in talks if "That was tried before" in talk[-1].text]
    assert told
    assert any("worse than its parent" in text for text in told), told
    asked = "operator IN ('mutate', 'simplify') AND outcome = 'duplicate'"
    [(found, twins)] = rows(project, f"SELECT count(*), count(twin) FROM proposals WHERE {asked}")
    assert found == twins


def test_an_engine_that_ends_tells_of_the_calls_in_flight(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=1)
    go_on = threading.Event()

    def script(messages: object) -> str:
        inbox.ask(project / "population" / "main", Verb.STOP, how="now")
        go_on.wait(30)
        return "late"

    model = ScriptedModel("slow", script, usd_per_call=0.5)
    try:
        assert engine_of(project, model, founders=0).run() is Phase.STOPPED
    finally:
        go_on.set()
    outcomes = {row[0] for row in rows(project, "SELECT outcome FROM llm_calls")}
    assert outcomes == {"abandoned"}


def test_without_a_model_no_call_is_made_and_no_operator_asks_for_one(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    engine_of(project, trials=8).run()
    assert rows(project, "SELECT count(*) FROM llm_calls") == [(0,)]
    found = rows(project, "SELECT DISTINCT model, role, cost_usd FROM proposals")
    assert found == [("", "", 0.0)]


def test_an_unknown_model_name_is_told_to_people_and_hurts_nothing(tmp_path: Path) -> None:
    load_litellm()  # or the trials are over before it is
    project = make_project(tmp_path)
    assert engine_of(project, trials=10, models=["nonsense"]).run() is Phase.STOPPED
    notes = rows(project, "SELECT text FROM events WHERE kind = 'note'")
    assert any("needs a provider before it" in text for [text] in notes)


def test_keys_of_the_environment_reach_neither_server_by_prompt_nor_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-seen")
    load_litellm()  # or the trials are over before it is
    muse = Muse()
    prompts: list[str] = []

    def script(request: Request) -> Said:
        prompts.append(request.text)
        return muse(request)

    with serving(script) as server:
        project = project_with(tmp_path, server)
        (project / "script.py").write_text(
            (project / "script.py").read_text() + "import os\nprint(sorted(os.environ.items()))\n"
            + 'print("score:", 1.0)\n'
        )  # fmt: skip
        engine_of(project, trials=4).run()
    assert prompts
    assert not any("sk-never-to-be-seen" in text for text in prompts)
    logs = list((project / "population" / "main" / "trials").rglob("log.txt"))
    assert logs
    assert not any("sk-never" in log.read_text() for log in logs)


def test_an_agent_that_keeps_failing_is_rested_and_the_search_goes_on(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2)
    with (project / "pyproject.toml").open("a") as settings:
        settings.write(f"[tool.evo.agent]\ncommand = '{sys.executable} -c \"exit(3)\"'\n")
    engine = engine_of(project, conduct=Conduct(), trials=8, agent__weight=100.0)
    assert engine.run() is Phase.STOPPED
    asked = "SELECT count(*) FROM llm_calls WHERE outcome = 'unusable'"
    assert rows(project, asked)[0][0] <= 2 + 2, "two failures, and what was asked for by then"
    notes = [text for [text] in rows(project, "SELECT text FROM events WHERE kind = 'note'")]
    assert any("is rested for 60 s: it ended with exit status 3" in text for text in notes)
    assert rows(project, "SELECT count(*) FROM trials WHERE status = 'scored'") == [(8,)]
