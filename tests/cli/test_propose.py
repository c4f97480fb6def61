"""`evo propose`: the prompt for a brief, one call, and what comes of its answer."""

from pathlib import Path

import pytest

from evo.engine import inbox
from evo.engine.inbox import Verb
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


def test_the_prompt_of_a_run_is_shown_and_nobody_is_asked(project: Path) -> None:
    said = evo(project, "propose", "--role", "gambler").stdout
    assert "━━━ system" in said
    assert "# Your role: gambler" in said
    assert "│ KNOB" in said
    assert "# How it came to be" in said
    champion = rows(project, "SELECT variant FROM champions ORDER BY seq DESC LIMIT 1")[0][0]
    assert f"# script.py, variant {champion}" in said
    assert "variant 0\n" in evo(project, "propose", "--variant", "0").stdout


def test_an_agent_works_once_and_its_change_is_shown(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert "there is no agent" in evo(project, "propose", "--operator", "agent", check=False).stderr
    with (project / "pyproject.toml").open("a") as settings:
        settings.write(
            "[tool.evo.agent]\ncommand = \"sed -i 's/KNOB = 1.0/KNOB = 2.0/' script.py\"\n"
        )
    said = evo(project, "propose", "--operator", "agent").stdout
    assert "Propose one change of script.py" in said
    assert "+KNOB" not in said
    said = evo(project, "propose", "--operator", "agent", "--call").stdout
    assert "+KNOB = 2.0" in said


def test_a_project_without_a_run_shows_the_prompt_for_its_baseline(tmp_path: Path) -> None:
    said = evo(make_project(tmp_path), "propose", "--operator", "simplify").stdout
    assert "# script.py, variant 0" in said
    assert "Take out of script.py what doesn't pay" in said


def test_one_call_shows_the_answer_as_a_diff_and_records_nothing(project: Path) -> None:
    before = rows(project, "SELECT count(*) FROM proposals")
    answer = f"Title: Wider\nRationale: Why not.\n\n{block('KNOB = 1.0', 'KNOB = 2.9')}"
    with serving(Said(answer)) as server:
        variables = {"OPENAI_API_KEY": "sk-x", "OPENAI_API_BASE": server.base}
        said = evo(
            project, "propose", "--variant", "0", "--call", "--model", MODEL, variables=variables
        ).stdout
        assert len(server.requests) == 1
    assert "accepted" in said
    assert "Title: Wider" in said
    assert "-KNOB = 1.0\n+KNOB = 2.9" in said
    assert "1,000 tokens in, 100 out, $0.0002" in said
    assert rows(project, "SELECT count(*) FROM proposals") == before


def test_an_answer_of_no_use_is_shown_with_its_fault_after_one_call(project: Path) -> None:
    with serving(Said("I'd rather talk.")) as server:
        variables = {"OPENAI_API_KEY": "sk-x", "OPENAI_API_BASE": server.base}
        done = evo(project, "propose", "--call", "--model", MODEL, variables=variables, check=False)
        assert len(server.requests) == 1
    assert done.returncode == 1
    assert "malformed: no edit is in the answer" in done.stdout
    assert "I'd rather talk." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--call"], "no model is named"),
        (["--role", "nobody"], "program.md has no `## Role: nobody`; it has gambler"),
        (["--variant", "999"], "the run main has no variant 999"),
    ],
)
def test_bad_input_is_one_line(project: Path, arguments: list[str], words: str) -> None:
    done = evo(project, "propose", *arguments, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_repair_of_nothing_says_so(project: Path) -> None:
    done = evo(project, "propose", "--operator", "repair", "--proposal", "0", check=False)
    assert done.returncode == 1
    assert "nothing left to mend" in done.stdout


def test_hints_of_people_are_in_the_prompt(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    inbox.ask(project / "population" / "main", Verb.HINT, text="Look at THIRD.")
    assembled(project, trials=2).run()
    assert "# Hints from people\n\n- Look at THIRD." in evo(project, "propose").stdout
