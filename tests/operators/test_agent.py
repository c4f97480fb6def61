"""The agent operator with small scripts as agents, in a real sandbox."""

import os
import re
import sys
from pathlib import Path

import pytest

from evo.config import AgentSettings
from evo.errors import SettingsError
from evo.nouns import Brief, Call, CallOutcome, Outcome, Proposal
from evo.operators.agent import Agent
from evo.operators.outfit import Charge, charge, fit_out
from evo.sandbox.sandbox import TierSandbox
from evo.sandbox.walls import survey
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
    tmp_path: Path, script: str, *, calls: list[Call] | None = None, **more: object
) -> Proposal:
    """What comes of an agent that is a Python script, behind the walls that there are."""
    code = tmp_path / "agent.py"
    code.write_text(script)
    command = f"{sys.executable} {code} --flag 'two words'"
    settings = AgentSettings(command=command, readable=(str(code),), **more)  # type: ignore[arg-type]
    tier = next((one.tier for one in survey() if one.good), None)
    if tier is None:
        pytest.skip("no tier holds here")
    office = Office(tmp_path, [])
    outfit = fit_out(settings, os.environ, [])
    agent = Agent(settings, outfit, office.author, TierSandbox(tier, outfit.readable))
    proposal = agent.propose(BRIEF, office.shelf)
    if calls is not None:
        calls += office.calls
    return proposal


def test_the_file_that_an_agent_leaves_is_the_proposal(tmp_path: Path) -> None:
    note = "pathlib.Path('PROPOSAL.md').write_text('Title: Deeper\\nRationale: Room\\nto grow.')\n"
    proposal = proposed(tmp_path, EDIT + note)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source == DEEPER
    assert (proposal.title, proposal.rationale) == ("Deeper", "Room to grow.")
    assert proposal.model == Path(sys.executable).name
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
    proposal = proposed(tmp_path, EDIT + check, keys=("AGENT_KEY",))
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
    proposal = proposed(tmp_path, script, timeout_seconds=1.0 if "sleep" in script else 30.0)
    assert proposal.outcome in (Outcome.MALFORMED, Outcome.NO_OP)
    assert proposal.source is None

    assert re.search(words, proposal.cause), proposal.cause


def test_a_flood_of_output_does_no_harm(tmp_path: Path) -> None:
    proposal = proposed(tmp_path, EDIT + "print('x' * 5_000_000)\n")
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause


def test_an_agent_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    greedy = (
        "import time\nheld = [bytearray(b'x') * (30 << 20) for _ in range(9)]\ntime.sleep(60)\n"
    )
    proposal = proposed(tmp_path, greedy, memory_mb=150)
    assert proposal.outcome is Outcome.MALFORMED
    assert re.search("150 are allowed|MemoryError|exit status", proposal.cause), proposal.cause


# Its bill

PAID = EDIT + 'print(\'{"total_cost_usd": 0.25, "usage": {"input_tokens": 7}}\')\n'


def test_what_an_agent_says_that_it_cost_is_on_its_proposal_and_its_call(tmp_path: Path) -> None:
    calls: list[Call] = []
    proposal = proposed(tmp_path, PAID, calls=calls, usd_per_call=9.0)
    assert proposal.cost_usd == 0.25
    [call] = calls
    assert (call.operator, call.model, call.cost_usd) == ("agent", proposal.model, 0.25)
    assert (call.outcome, call.tokens_in, call.cause) == (CallOutcome.ANSWERED, 7, "")


@pytest.mark.parametrize(("estimate", "usd"), [(0.5, 0.5), (None, None)])
def test_without_its_word_the_setting_counts_or_nobody_knows(
    tmp_path: Path, estimate: float | None, usd: float | None
) -> None:
    calls: list[Call] = []
    proposal = proposed(tmp_path, "print('no')", calls=calls, usd_per_call=estimate)
    assert [(call.cost_usd, call.outcome) for call in calls] == [(usd, CallOutcome.UNUSABLE)]
    assert calls[0].cause == proposal.cause
    assert proposal.cost_usd == (usd or 0.0)


@pytest.mark.parametrize(
    ("printed", "cost", "found"),
    [
        ('{"total_cost_usd": 0.1}\n{"total_cost_usd": 2e-1}', "", Charge(0.2)),
        ('{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}', "", Charge(None, 3, 4)),
        ('{"cost_usd": -1}', "", Charge()),
        ('{"cost_usd": 1e300}', "", Charge()),
        ('{"cost_usd": 2}\na log says "cost_usd": 900', "", Charge(2.0)),
        ('{\n "cost_usd": 2\n}', "", Charge(2.0)),
        ('{"cost_usd": 1e999}', "", Charge()),
        ('{"cost_usd": .}', "", Charge()),
        ("Cost: $0.01 message, $0.03 session.", r"\$([\d.]+) session", Charge(0.03)),
        ("sent 12, cost 3", r"sent (?P<tokens_in>\d+), cost (?P<usd>\d+)", Charge(3.0, 12)),
        ("sent 12", r"sent (?P<tokens_in>\d+)", Charge(None, 12)),
        ("nothing", r"cost (\d+)", Charge()),
        ('{"total_cost_usd": 1}', r"cost (\d+)", Charge()),
    ],
)
def test_a_bill_is_found_in_what_is_printed(printed: str, cost: str, found: Charge) -> None:
    assert charge(printed, re.compile(cost) if cost else None) == found


# Settings


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"command": "'unclosed"}, "command can't be used"),
        ({"command": "   "}, "must name a program"),
        ({"command": "no-such-agent"}, "isn't a program on PATH"),
        ({"keys": ("NO_SUCH_KEY",)}, "names NO_SUCH_KEY, which"),
        ({"cost": "("}, "isn't a regular expression"),
        ({"cost": "usd"}, "one group that is the dollars"),
        ({"cost": "(?P<euro>x)"}, "groups named usd"),
        ({"readable": ("~/gone",)}, "names ~/gone, which isn't there"),
        ({"readable": ("~",)}, "holds all of your home"),
        ({"readable": ("/",)}, "holds all of your home"),
        ({"readable": ("~/.ssh/key",)}, "never see .*/.ssh"),
        ({"readable": ("~/.config",)}, "never see .*/.config/gc?"),
        ({"readable": ("~/link",)}, "never see .*/population"),
        ({"readable": ("~/project",)}, "never see .*/population"),
        ({"readable": ("/etc",)}, "never see /etc/s"),
        ({"readable": ("/proc/self",)}, "never see /proc"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_or_open_what_is_kept_are_refused(
    tmp_path: Path, more: dict[str, object], words: str
) -> None:
    for folder in (".ssh", ".config", "project/population/main"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".ssh" / "key").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "project" / "population" / "main")
    settings = AgentSettings(**({"command": "true"} | more))  # type: ignore[arg-type]
    variables = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with pytest.raises(SettingsError, match=words):
        fit_out(settings, variables, [tmp_path / "project" / "population"])


def test_an_outfit_has_the_program_with_all_that_it_links_to(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "agent-1.0").write_text("#!/bin/sh\n")
    (tmp_path / "agent-1.0").chmod(0o755)
    (tmp_path / "current").symlink_to("agent-1.0")
    (tmp_path / "bin" / "agent").symlink_to("../current")
    settings = AgentSettings(command="agent --print", keys=("KEY",))
    given = {"HOME": "/nowhere", "PATH": str(tmp_path / "bin"), "KEY": "k", "OTHER": "o"}
    outfit = fit_out(settings, given, [])
    assert outfit.name == "agent"
    assert outfit.words == (str(tmp_path / "bin" / "agent"), "--print")
    assert outfit.readable == tuple(
        str(tmp_path / name) for name in ("bin/agent", "current", "agent-1.0")
    )
    assert outfit.variables == {"KEY": "k"}


def test_an_agents_keys_stay_in_its_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "zx-0123456789abcdefghij"
    monkeypatch.setenv("AGENT_KEY", key)
    tell = (
        "import os\nkey = os.environ['AGENT_KEY']\n"
        "file.write_text(file.read_text() + f'# {key}\\n')\n"
        "pathlib.Path('PROPOSAL.md').write_text(f'Title: {key}\\nRationale: {key}')\n"
    )
    proposal = proposed(tmp_path, EDIT + tell, keys=("AGENT_KEY",))
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source is not None and proposal.source.endswith("# [secret]\n")
    assert (proposal.title, proposal.rationale) == ("[secret]", "[secret]")
    proposal = proposed(tmp_path, EDIT + tell + "exit(f'401: {key}')", keys=("AGENT_KEY",))
    assert proposal.cause.endswith("401: [secret]")
