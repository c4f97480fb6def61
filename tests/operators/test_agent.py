"""The agent operator with small scripts as agents, in a real sandbox."""

import os
import re
import sys
from pathlib import Path

import pytest

from evo.config import AgentSettings
from evo.errors import SettingsError
from evo.nouns import Brief, Outcome, Proposal
from evo.operators.agent import Agent
from evo.sandbox.sandbox import OpenSandbox
from tests.operators.office import Office
from tests.operators.shelves import BASELINE, changed

BRIEF = Brief(7, "agent", (0,))
DEEPER = changed(BASELINE, "DEPTH = (2, 8)", "DEPTH = (3, 8)")
EDIT = (
    "import sys, pathlib\n"
    "told = sys.stdin.read()\n"
    "file = pathlib.Path('train.py')\n"
    "file.write_text(file.read_text().replace('DEPTH = (2, 8)', 'DEPTH = (3, 8)'))\n"
)
GONE = "import os; os.remove('train.py'); "


def proposed(
    tmp_path: Path, script: str, *, variables: tuple[str, ...] = (), seconds: float = 30.0
) -> Proposal:
    """What comes of an agent that is a Python script."""
    code = tmp_path / "agent.py"
    code.write_text(script)
    settings = AgentSettings(
        command=f"{sys.executable} {code} --flag 'two words'",
        variables=variables,
        timeout_seconds=seconds,
    )
    office = Office(tmp_path, [])
    agent = Agent(settings, office.author, OpenSandbox(), os.environ)
    return agent.propose(BRIEF, office.shelf)


def test_the_file_that_an_agent_leaves_is_the_proposal(tmp_path: Path) -> None:
    note = "pathlib.Path('PROPOSAL.md').write_text('Title: Deeper\\nRationale: Room\\nto grow.')\n"
    proposal = proposed(tmp_path, EDIT + note)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source == DEEPER
    assert (proposal.title, proposal.rationale) == ("Deeper", "Room to grow.")
    assert proposal.model == sys.executable
    assert proposal.program_sha


def test_an_agent_gets_the_brief_on_standard_input_and_in_its_folder(tmp_path: Path) -> None:
    check = (
        "assert 'Propose one change of train.py, the file in your folder' in told\n"
        "assert told == pathlib.Path('BRIEF.md').read_text()\n"
        "assert 'Lower is better' in pathlib.Path('program.md').read_text()\n"
        "assert sys.argv[1:] == ['--flag', 'two words']\n"
    )
    proposal = proposed(tmp_path, EDIT + check)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.title == "By an agent"


def test_an_agent_sees_the_variables_that_are_listed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_KEY", "given")
    monkeypatch.setenv("OTHER_KEY", "kept")
    check = (
        "import os\nassert os.environ['AGENT_KEY'] == 'given'\n"
        "assert 'OTHER_KEY' not in os.environ, 'seen'\n"
    )
    proposal = proposed(tmp_path, EDIT + check, variables=("AGENT_KEY",))
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; print('no key'); sys.exit(3)", "ended with exit status 3: no key"),
        ("import time; time.sleep(60)", "took more than 1 s"),
        (GONE, "left no file train.py"),
        (GONE + "os.symlink('/etc/hostname', 'train.py')", "left no file train.py"),
        (GONE + "os.mkfifo('train.py')", "left no file train.py"),
        ("open('train.py', 'wb').write(b'\\xff')", "left no file"),
        ("open('train.py', 'w').write('def f(:')", "it isn't Python"),
        ("pass", "nothing changes"),
    ],
)  # fmt: skip
def test_what_an_agent_does_wrong_is_a_refusal(tmp_path: Path, script: str, words: str) -> None:
    seconds = 1.0 if "sleep" in script else 30.0
    proposal = proposed(tmp_path, script, seconds=seconds)
    assert proposal.outcome in (Outcome.MALFORMED, Outcome.NO_OP)
    assert proposal.source is None

    assert re.search(words, proposal.cause), proposal.cause


def test_a_flood_of_output_does_no_harm(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, EDIT + "print('x' * 5_000_000)\n")
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AgentSettings(command="'unclosed"), "command can't be used"),
        (AgentSettings(command="   "), "must name a program"),
        (AgentSettings(command="x", variables=("NO_SUCH_KEY",)), "names NO_SUCH_KEY, which"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, settings: AgentSettings, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        Agent(settings, Office(tmp_path, []).author, OpenSandbox(), {})
