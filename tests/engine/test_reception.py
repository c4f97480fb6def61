"""The reception: what people ask of a real engine at work, and what comes of it."""

import json
import time
from pathlib import Path

import msgspec
import pytest

from evo.config import load
from evo.engine import curves, heartbeat, inbox
from evo.engine.assembly import assemble
from evo.engine.heartbeat import Phase
from evo.engine.inbox import Request, Verb
from evo.engine.shelf import PopulationShelf
from evo.nouns import Brief, CurvePoint, Proposal
from evo.operators.operator import Shelf, refuse
from tests.engine.test_engine import finished_trials, phase, running
from tests.projects import SCRIPT, assembled, make_project, rows, wait_until

SLOW = SCRIPT.replace("{seconds}", "30 if KNOB != 1.0 else 0.1")
"""Quick as it is; whatever changes its knob takes half a minute."""


def ask(project: Path, verb: Verb, **arguments: str) -> None:
    """Asks, and waits until the engine has taken it."""
    folder = project / "population" / "main"
    request = inbox.ask(folder, verb, **arguments)
    path = folder / inbox.FOLDER / f"{request.id}.json"
    wait_until(lambda: not path.exists(), f"{verb} is taken")


def outcomes(project: Path) -> dict[str, str]:
    return dict(rows(project, "SELECT verb, outcome FROM requests ORDER BY asked_at"))


def running_trials(project: Path) -> list[int]:
    beat = heartbeat.read(project / "population" / "main")
    return [one.trial for one in beat.running] if beat else []


def enqueue(project: Path, title: str, knob: str) -> None:
    script = (project / "script.py").read_text().replace("KNOB = 1.0", f"KNOB = {knob}")
    inbox.ask(project / "population" / "main", Verb.ENQUEUE, title=title, text=script)


def test_a_paused_engine_starts_nothing_until_it_is_resumed(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=0.1)
    with running(project, trials=8):
        wait_until(lambda: finished_trials(project) >= 2, "two trials are over")
        ask(project, Verb.PAUSE)
        wait_until(lambda: phase(project) is Phase.PAUSED, "it says so")
        wait_until(lambda: not running_trials(project), "the running trial is over")
        before = finished_trials(project)
        ask(project, Verb.PAUSE)
        wait_until(lambda: beats(project) > 2, "it has had time to start one")
        assert (finished_trials(project), running_trials(project)) == (before, [])
        ask(project, Verb.RESUME)
    told = rows(project, "SELECT verb, outcome, who <> '' FROM requests ORDER BY asked_at")
    assert told == [
        ("pause", "paused", True), ("pause", "it is paused", True), ("resume", "resumed", True),
    ]  # fmt: skip
    assert rows(project, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(8,)]


def beats(project: Path) -> int:
    """How many different heartbeats were seen since the first call."""
    known = _SEEN.setdefault(project, set())
    beat = heartbeat.read(project / "population" / "main")
    if beat is not None:
        known.add(beat.at)
    return len(known)


_SEEN: dict[Path, set[float]] = {}


@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.KILL, "infrastructure"), (Verb.PRUNE, "pruned")]
)
def test_a_trial_that_is_given_up_ends_at_once_and_is_not_tried_again(
    tmp_path: Path, verb: Verb, status: str
) -> None:
    project = make_project(tmp_path, script=SLOW)
    for founder in (project / "population" / "founders").iterdir():
        founder.unlink()
    enqueue(project, "Slow", "2.5")
    with running(project):
        wait_until(lambda: running_trials(project) == [1], "the slow one runs")
        ask(project, verb, trial="1")
        wait_until(lambda: finished_trials(project) >= 2, "it is over")
        ask(project, Verb.STOP, how="now")
    [(found, cause, variant)] = rows(
        project, "SELECT status, cause, variant FROM trials WHERE id = 1"
    )
    assert found == status
    assert "it" in cause
    engine = assembled(project)  # nor in the next session
    engine._open()
    engine._close()
    assert rows(project, f"SELECT count(*) FROM trials WHERE variant = {variant}") == [(1,)]
    assert outcomes(project)[verb] == "given up"


def test_a_variant_is_measured_again_and_once_more_when_people_ask(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=0.05)
    with running(project, trials=12):
        wait_until(lambda: finished_trials(project) >= 3, "three trials are over")
        ask(project, Verb.RETRY, variant="1")
        ask(project, Verb.REPLICATE, variant="2")
        ask(project, Verb.REPLICATE, variant="999")
    again = rows(
        project, "SELECT variant, purpose FROM trials WHERE variant IN (1, 2) ORDER BY variant, id"
    )
    assert again.count((1, "first")) == 2
    assert (2, "replicate") in again
    told = rows(project, "SELECT verb, outcome FROM requests ORDER BY asked_at")
    assert told == [
        ("retry", "queued"), ("replicate", "queued"),
        ("replicate", "refused: there is no variant 999"),
    ]  # fmt: skip


def test_what_people_pin_and_ban_is_kept_and_holds_in_the_next_session(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=0.05)
    with running(project, trials=14):
        wait_until(lambda: finished_trials(project) >= 4, "four trials are over")
        ask(project, Verb.BAN, variant="1")
        ask(project, Verb.PIN, variant="2")
        ask(project, Verb.BAN, variant="0")
        ask(project, Verb.PIN, variant="999")
        [(banned_at,)] = rows(project, "SELECT seq FROM wishes WHERE favour = 'banned'")
    with running(project, trials=6):
        pass
    told = rows(project, "SELECT verb, outcome FROM requests ORDER BY asked_at")
    assert [outcome for _, outcome in told] == [
        "banned", "pinned",
        "refused: the baseline can't be banned: it is what all others are compared with",
        "refused: there is no variant 999",
    ]  # fmt: skip
    assert rows(project, "SELECT variant, favour, who <> '' FROM wishes ORDER BY seq") == [
        (1, "banned", True), (2, "pinned", True),
    ]  # fmt: skip
    built = rows(
        project,
        f"SELECT parents FROM proposals WHERE seq > {banned_at} ORDER BY seq OFFSET 4",
    )
    assert built
    assert not any(1 in parents for (parents,) in built)


def test_limits_are_changed_while_it_runs(tmp_path: Path) -> None:
    project = make_project(tmp_path, slots=2, seconds=0.1)
    with running(project):
        wait_until(lambda: finished_trials(project) >= 1, "a trial is over")
        ask(project, Verb.SLOTS, count="1")
        ask(project, Verb.SLOTS, count="3")
        ask(project, Verb.BUDGET, trials="4", hours="1")
        ask(project, Verb.BUDGET, hours="none")
        ask(project, Verb.BUDGET, cost="5", trials="90")
        ask(project, Verb.BUDGET, cost="-5")
    told = [row[0] for row in rows(project, "SELECT outcome FROM requests ORDER BY asked_at")]
    assert told == [
        "changed", "refused: this engine has 2 slots: name 1 to 2", "changed", "changed",
        "refused: no model is asked in this run, and nothing costs anything",
        "refused: it makes no sense: a limit must be more than 0",
    ]  # fmt: skip
    beat = heartbeat.read(project / "population" / "main")
    assert beat is not None
    assert (beat.message, beat.slots) == ("all trials are done", 1)
    assert beat.busy is not None
    assert 0 < beat.busy <= 1


def test_a_limit_that_is_raised_while_the_last_trial_runs_lets_it_go_on(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=2.0)
    with running(project, hours=0.0002):
        wait_until(lambda: phase(project) is Phase.FINISHING, "its time is over")
        ask(project, Verb.BUDGET, hours="none", trials="2")
        wait_until(lambda: finished_trials(project) == 2, "it went on")
    assert rows(project, "SELECT how FROM sessions") == [("all trials are done",)]


def test_the_baselines_first_trial_is_not_given_up(tmp_path: Path) -> None:
    project = make_project(tmp_path, seconds=2.0)
    with running(project, trials=1):
        wait_until(lambda: running_trials(project) == [0], "it runs")
        ask(project, Verb.KILL, trial="0")
    assert outcomes(project)[Verb.KILL].startswith("refused: it is the baseline's")
    assert rows(project, "SELECT status FROM trials WHERE id = 0") == [("scored",)]


class Listening:
    """Proposes nothing, and remembers what it was told."""

    name = "tune"

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        assert isinstance(shelf, PopulationShelf)
        self.heard.append(shelf.hints())
        return refuse(brief, "it only listens")


def test_a_hint_is_told_to_the_operators_of_this_session_and_of_the_next(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    folder = project / "population" / "main"
    inbox.ask(folder, Verb.HINT, text="Try a shorter\x1b[31m warm-up")
    inbox.ask(folder, Verb.HINT, text=" ")
    for _ in range(2):
        operator = Listening()
        settings = load(project, {"trials": 6, "founders": 0, "strategy": "greedy"})
        assemble(
            project=project,
            settings=settings,
            folder=folder,
            archive_folder=project / "archive" / "main",
            baseline=(project / "script.py").read_text(),
            others={operator.name: operator},
        ).run()
        assert set(operator.heard) == {("Try a shorter·[31m warm-up",)}
    assert [row[0] for row in rows(project, "SELECT outcome FROM requests ORDER BY asked_at")] == [
        "noted for language models, of which this run has none: `evo run --model NAME`",
        "refused: it makes no sense: a hint has words",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        (Verb.KILL, {"trial": "seven"}),
        (Verb.RETRY, {}),
        (Verb.BUDGET, {"trials": "0"}),
        (Verb.BUDGET, {"hours": "nan"}),
        (Verb.BUDGET, {}),
        (Verb.SLOTS, {"count": "many"}),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_so(
    tmp_path: Path, verb: Verb, given: dict[str, str]
) -> None:
    project = make_project(tmp_path)
    with running(project, trials=30):
        ask(project, verb, **given)
        inbox.ask(project / "population" / "main", Verb.STOP, how="now")
    assert outcomes(project)[verb].startswith("refused: ")


def test_what_was_meant_for_an_engine_that_ended_is_not_done_by_the_next(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assembled(project, trials=1).run()
    for verb in (Verb.PAUSE, Verb.KILL, Verb.SLOTS, Verb.BUDGET):
        inbox.ask(project / "population" / "main", verb, trial="0", count="1", trials="1")
    assembled(project, trials=3).run()
    assert set(outcomes(project).values()) == {"refused: it was meant for an engine that has ended"}
    assert rows(project, "SELECT count(*) FROM trials WHERE seq IS NOT NULL") == [(4,)]


def test_a_clock_that_is_set_back_makes_no_request_one_for_an_engine_that_ended(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path, seconds=0.05)
    folder = project / "population" / "main" / inbox.FOLDER
    with running(project):
        request = Request(id="early", verb=Verb.PAUSE, at=time.time() - 7200)
        folder.mkdir(exist_ok=True)
        (folder / "early.tmp").write_bytes(msgspec.json.encode(request))
        (folder / "early.tmp").rename(folder / "early.json")
        wait_until(lambda: not (folder / "early.json").exists(), "it is taken")
        ask(project, Verb.STOP, how="now")
    assert outcomes(project)[Verb.PAUSE] == "paused"


def test_what_was_done_before_a_kill_is_not_done_again_by_the_next_engine(tmp_path: Path) -> None:
    """A killed engine may leave the file of a request that it has put on record."""
    project = make_project(tmp_path, seconds=0.2)
    folder = project / "population" / "main"
    count = "SELECT count(*) FROM trials WHERE variant = 1 AND purpose = 'first'"
    with running(project, trials=14):
        wait_until(lambda: finished_trials(project) >= 2, "two trials are over")
        ask(project, Verb.RETRY, variant="1")
        ask(project, Verb.HINT, text="Try less")
    assert rows(project, count) == [(2,)]
    found = rows(project, "SELECT id, verb, arguments FROM requests")
    for id, verb, arguments in found:
        request = Request(id=id, verb=Verb(verb), arguments=json.loads(arguments))
        (folder / inbox.FOLDER / f"{id}.json").write_bytes(msgspec.json.encode(request))
    engine = assembled(project, trials=1)
    engine.run()
    assert not list((folder / inbox.FOLDER).iterdir())
    assert engine._rooms.shelf.hints() == ("Try less",)
    assert rows(project, count) == [(2,)]


def test_a_live_curve_is_read_back_and_half_a_line_left_out(tmp_path: Path) -> None:
    (tmp_path / "trials" / "3").mkdir(parents=True)
    points = [CurvePoint(1.0, 10, 3.5, 2048, 99.5), CurvePoint(2.0, 20, 3.25)]
    for point in points:
        curves.append(tmp_path, 3, point)
    with (tmp_path / "trials" / "3" / curves.FILE).open("ab") as file:
        file.write(b'{"elapsed_seconds": 3.0, "st')
    assert curves.read(tmp_path, 3) == tuple(points)
    curves.begin(tmp_path, 3)
    assert curves.read(tmp_path, 3) == ()
