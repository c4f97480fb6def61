"""The inbox: requests arrive whole, in order, and nonsense is told apart."""

import resource
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from evo.engine import inbox
from evo.engine.inbox import Request, Verb


def test_requests_come_in_the_order_in_which_they_were_asked(tmp_path: Path) -> None:
    asked = [inbox.ask(tmp_path, Verb.ENQUEUE, title=str(n), text="x\x00é") for n in range(5)]
    assert [request for _, request in inbox.take(tmp_path)] == asked


def test_a_request_stays_until_its_file_is_removed(tmp_path: Path) -> None:
    inbox.ask(tmp_path, Verb.STOP, how="now")
    [(path, request)] = inbox.take(tmp_path)
    assert request is not None
    assert request.arguments == {"how": "now"}
    assert len(inbox.take(tmp_path)) == 1
    path.unlink()
    assert inbox.take(tmp_path) == []


def test_nonsense_is_handed_over_as_nonsense(tmp_path: Path) -> None:
    folder = tmp_path / inbox.FOLDER
    folder.mkdir()
    (folder / "0.json").write_text('{"verb": "dance", "id": "x"}')
    (folder / "1.json").write_bytes(b"\xff")
    (folder / "2.json").write_text('{"verb": "stop", "id": "x", "at": 1e20}')
    (folder / "3.json").write_text('{"verb": "stop", "id": "x", "at": -1e20}')
    (folder / "4.json").write_text('{"x": ' + "[" * 100_000)
    (folder / ".half.tmp").write_text("{")
    assert [request for _, request in inbox.take(tmp_path)] == [None] * 5


def test_a_request_of_any_moment_of_the_calendar_makes_sense(tmp_path: Path) -> None:
    (tmp_path / inbox.FOLDER).mkdir()
    request = Request(id="x", verb=Verb.STOP, at=inbox.LAST_MOMENT)
    (tmp_path / inbox.FOLDER / "0.json").write_bytes(msgspec.json.encode(request))
    assert [taken for _, taken in inbox.take(tmp_path)] == [request]
    assert datetime.fromtimestamp(request.at, UTC).year == datetime.max.year


def test_what_can_not_be_read_is_left_alone_and_the_others_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / inbox.FOLDER
    (folder / "0.json").mkdir(parents=True)
    (folder / "1.json").symlink_to(folder / "1.json")
    asked = inbox.ask(tmp_path, Verb.STOP)
    assert [request for _, request in inbox.take(tmp_path)] == [asked]


def test_without_file_handles_nothing_is_taken_for_nonsense(tmp_path: Path) -> None:
    asked = inbox.ask(tmp_path, Verb.ENQUEUE, title="an idea", text="x = 1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        taken = inbox.take(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert taken == []
    assert [request for _, request in inbox.take(tmp_path)] == [asked]
