"""`evo propose`: the prompt for a brief, one call, and what comes of its answer."""

import contextlib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evo.cli.proposing import propose_command
from evo.engine import inbox
from evo.engine.inbox import Verb
from evo.errors import SettingsError
from tests.models.muse import block
from tests.models.server import Said, serving
from tests.projects import assembled, evo, make_project, rows

MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a short search behind it."""
    made = make_project(tmp_path_factory.mktemp("propose"))
    (made / "program.md").write_text("Lower is better.\n\n## Role: gambler\n\nBe bold.\n")
    assembled(made, trials=6).run()
    return made


def proposed(project: Path, *arguments: str) -> Result:
    """`evo propose` in this process: each start of Python would cost a second."""
    with contextlib.chdir(project):
        return CliRunner().invoke(propose_command, arguments)


def test_the_prompt_of_a_run_is_shown_and_nobody_is_asked(project: Path) -> None:
    said = evo(project, "propose", "--role", "gambler").stdout
    assert "━━━ system" in said
    assert "# Your role: gambler" in said
    assert "│ KNOB" in said
    assert "# How it came to be" in said
    champion = rows(project, "SELECT variant FROM champions ORDER BY seq DESC LIMIT 1")[0][0]
    assert f"# script.py, variant {champion}" in said
    short = proposed(project, "--variant", "0", "--context-tokens", "2000").stdout
    assert "variant 0\n" in short
    assert len(short) < len(said)


def test_an_agent_works_once_and_its_change_is_shown(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert "there is no agent" in str(proposed(project, "--operator", "agent").exception)
    with (project / "pyproject.toml").open("a") as settings:
        settings.write(
            "[tool.evo.agent]\ncommand = \"sed -i 's/KNOB = 1.0/KNOB = 2.0/' script.py\"\n"
        )
    said = proposed(project, "--operator", "agent").stdout
    assert "Propose one change of script.py" in said
    assert "+KNOB" not in said
    said = proposed(project, "--operator", "agent", "--call").stdout
    assert "+KNOB = 2.0" in said


def test_a_project_without_a_run_shows_the_prompt_for_its_baseline(tmp_path: Path) -> None:
    said = proposed(make_project(tmp_path), "--operator", "simplify").stdout
    assert "# script.py, variant 0" in said
    assert "Take out of script.py what doesn't pay" in said


def asked(project: Path, said: Said, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """`evo propose --call` in this process, where litellm is imported once."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with serving(said) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.base)
        done = proposed(project, "--call", "--model", MODEL, *arguments)
        assert len(server.requests) == 1
    return done


def test_one_call_shows_the_answer_as_a_diff_and_records_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(project, "SELECT count(*) FROM proposals")
    answer = f"Title: Wider\nRationale: Why not.\n\n{block('KNOB = 1.0', 'KNOB = 2.9')}"
    said = asked(project, Said(answer), monkeypatch, "--variant", "0").stdout
    assert "accepted" in said
    assert "Title: Wider" in said
    assert "-KNOB = 1.0\n+KNOB = 2.9" in said
    assert "1,000 tokens in, 100 out, $0.0002" in said
    assert rows(project, "SELECT count(*) FROM proposals") == before


def test_an_answer_of_no_use_is_shown_with_its_fault_after_one_call(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = asked(project, Said("I'd rather talk."), monkeypatch)
    assert done.exit_code == 1
    assert "malformed: no edit is in the answer" in done.stdout
    assert "I'd rather talk." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--call"], "no model is named"),
        (["--context-tokens", "20"], "a setting has a wrong value"),
        (["--role", "nobody"], "program.md has no `## Role: nobody`; it has gambler"),
        (["--variant", "999"], "the run main has no variant 999"),
    ],
)
def test_bad_input_is_one_line(project: Path, arguments: list[str], words: str) -> None:
    error = proposed(project, *arguments).exception
    assert isinstance(error, SettingsError)
    assert words in str(error)
    assert "\n" not in str(error)


def test_a_repair_of_nothing_says_so(project: Path) -> None:
    done = proposed(project, "--operator", "repair", "--proposal", "0")
    assert done.exit_code == 1
    assert "nothing left to mend" in done.stdout


def test_hints_of_people_are_in_the_prompt(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    inbox.ask(project / "population" / "main", Verb.HINT, text="Look at THIRD.")
    assembled(project, trials=2).run()
    assert "# Hints from people\n\n- Look at THIRD." in proposed(project).stdout
