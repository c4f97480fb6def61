"""What a hostile agent gets behind the walls of each tier, and what an honest one can do there."""

import ast
import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from evo.config import AgentSettings
from evo.nouns import Brief, Outcome
from evo.operators.agent import Agent
from evo.operators.outfit import fit_out
from evo.sandbox.plan import Limits, Tier, draw
from evo.sandbox.reach import Reach, reach
from evo.sandbox.sandbox import TierSandbox
from evo.sandbox.walls import TRIED, shortfalls, survey
from tests.models.server import Request, Said, serving
from tests.operators.office import Office

HOSTILE = """
import json, os, socket, subprocess, sys, urllib.request
bait, got = json.loads(sys.argv[1]), {}

def attempt(name, action):
    try:
        got[name] = str(action())
    except Exception as error:
        got[name] = f"refused: {type(error).__name__}: {error}"

def send(family, kind, address):
    with socket.socket(family, kind) as plug:
        plug.settimeout(5)
        plug.connect(address)
        return "GOT"

def post():
    body = json.dumps({"model": "m", "messages": []}).encode()
    request = urllib.request.Request(bait["url"], body, {"content-type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=10).read())["choices"][0]["message"]

def pair():
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"x", bait["ear"])

attempt("key", lambda: open(bait["key"]).read())
attempt("home", lambda: os.listdir(bait["home"]))
attempt("population", lambda: open(bait["population"]).read())
attempt("archive", lambda: os.listdir(bait["archive"]))
attempt("write", lambda: open(bait["write"], "w").write("x"))
attempt("change", lambda: os.truncate(bait["key"], 0))
attempt("hard", lambda: os.link(bait["key"], "hard") or "linked")
attempt("variable", lambda: os.environ["EVO_OTHER_KEY"])
attempt("theirs", lambda: open(f"/proc/{bait['pid']}/environ", "rb").read())
attempt("signal", lambda: os.kill(bait["pid"], 0))
attempt("path", lambda: send(socket.AF_UNIX, socket.SOCK_STREAM, bait["ear"]))
attempt("abstract", lambda: send(socket.AF_UNIX, socket.SOCK_STREAM, chr(0) + bait["name"]))
attempt("pair", pair)
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("events", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15))
attempt("mount", lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "."], check=True))
attempt("server", post)
attempt("listed", lambda: os.environ["EVO_LISTED_KEY"][::-1])  # a key itself is hidden
attempt("shell", lambda: subprocess.check_output(["sh", "-c", "echo fine > a; cat a"]).strip())
attempt("names", lambda: socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)[0][4][1])
open("train.py", "w").write(f"GOT = {got!r}\\n")
"""
"""Tries everything and leaves what came of it as the file."""
BRIEF = Brief(7, "agent", (0,))
GIVEN = {"listed", "shell"}
BY_NETWORK = {"server", "names"}


SECRET = "known to few"


@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize("tier", TRIED)
def test_an_agent_gets_what_the_settings_list_and_nothing_else(
    tier: Tier, network: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not next(one.good for one in survey(all_of_them=True) if one.tier is tier):
        pytest.skip(f"no {tier} here")
    key = secrets.token_hex(16)
    monkeypatch.setenv("EVO_LISTED_KEY", key)
    monkeypatch.setenv("EVO_OTHER_KEY", SECRET)
    lines: list[bytes] = []

    def answer(request: Request) -> Said:
        lines.extend(_command_lines())
        return Said("hello")

    with serving(answer) as server, _ear(tmp_path / "ear") as (path, name):
        bait = _bait(tmp_path, url=f"{server.base}/chat/completions", ear=path, name=name)
        got = _got(tmp_path, tier, bait, network=network)
    refused = {name for name, said in got.items() if said.startswith("refused")}
    assert refused == set(got) - GIVEN - (BY_NETWORK if network else set()), got
    assert got["listed"] == key[::-1]
    assert len(server.requests) == int(network)
    assert not any(key.encode() in line for line in lines), "a key stood on a command line"
    assert not any(SECRET in said for said in got.values())
    assert Path(str(bait["key"])).read_text() == SECRET
    assert not Path(str(bait["write"])).exists()


def test_without_walls_the_same_agent_gets_out(tmp_path: Path) -> None:
    with _ear(tmp_path / "ear", heard=True) as (path, name):
        bait = _bait(tmp_path, url="http://127.0.0.1:9", ear=path, name=name)
        got = _got(tmp_path, Tier.OPEN, bait, network=False)
    for taken in ("key", "home", "population", "archive", "write"):
        assert not got[taken].startswith("refused"), taken


def test_an_open_tier_says_that_it_has_no_walls() -> None:
    assert "without a sandbox" in shortfalls(Tier.OPEN)[0]
    assert not shortfalls(Tier.BUBBLEWRAP)


def test_the_plan_of_a_trial_knows_nothing_of_networks() -> None:
    """What trials are started with is as it was before agents came."""
    reached = Reach(("/usr",), ("/dev/null",), ("/proc/stat",))
    for tier in Tier:
        plan = draw(tier, reached, Limits(100), ["true"], "/cell/home", gpu=False)
        assert list(plan) == [
            "command", "streams", "lifeline", "home", "files", "merge_output", "user",
            "capability", "limits", "groups", "readable", "writable", "devices",
            "writes_own_process", "landlock", "must_filter", "unix", "shared", "mounts",
            "new_user",
        ]  # fmt: skip
        assert plan["unix"] == tier.private
        agent = draw(tier, reached, Limits(100), ["true"], "/cell/home", gpu=False, network=True)
        assert (agent["network"], agent["unix"]) == (True, False)
    assert not any("resolv" in path or "/etc/ssl" in path for path in reach().readable)


def _got(folder: Path, tier: Tier, bait: dict[str, object], *, network: bool) -> dict[str, str]:
    """What the hostile agent got, by what it tried."""
    code = folder / "hostile.py"
    code.write_text(HOSTILE)
    settings = AgentSettings(
        command=shlex.join([sys.executable, str(code), json.dumps(bait)]),
        network=network,
        keys=("EVO_LISTED_KEY",) if "EVO_LISTED_KEY" in os.environ else (),
        readable=(str(code),),
        timeout_seconds=60,
    )
    office = Office(folder, [])
    outfit = fit_out(settings, os.environ, [folder / "population", folder / "archive"])
    sandbox = TierSandbox(tier, outfit.readable, network=network)
    proposal = Agent(settings, outfit, office.author, sandbox).propose(BRIEF, office.shelf)
    assert proposal.outcome is Outcome.ACCEPTED, proposal.cause
    assert proposal.source is not None
    found: dict[str, str] = ast.literal_eval(proposal.source.removeprefix("GOT = "))
    return found


def _bait(folder: Path, **more: object) -> dict[str, object]:
    """Secrets that nothing but walls keeps from anybody on this machine."""
    key, population = folder / "home" / ".ssh" / "id", folder / "population" / "main" / "script.py"
    for path in (key, population, folder / "archive" / "main" / "archive.duckdb"):
        path.parent.mkdir(parents=True)
        path.write_text(SECRET)
        path.chmod(0o666)
    for inner in (*folder.rglob("*/"), folder, *folder.parents[:-2]):
        inner.chmod(inner.stat().st_mode | (0o777 if folder in inner.parents else 0o755))
    return more | {
        "pid": os.getpid(),
        "key": str(key),
        "home": str(folder / "home"),
        "population": str(population),
        "archive": str(folder / "archive"),
        "write": str(folder / "home" / "written"),
    }


@contextmanager
def _ear(path: Path, *, heard: bool = False) -> Iterator[tuple[str, str]]:
    """Listens at a path and at an abstract name; both, for who wants to speak there."""
    name = f"evo-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(str(path))
        path.chmod(0o777)
        other.bind(f"\0{name}")
        for ear in (one, other):
            ear.listen()
            ear.setblocking(False)
        yield str(path), name
        for ear in () if heard else (one, other):
            with pytest.raises(BlockingIOError):
                ear.accept()


def _command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()
