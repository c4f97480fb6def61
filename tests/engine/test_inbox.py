"""The inbox: requests arrive whole, in order, and nonsense is told apart."""

from pathlib import Path

from evo.engine import inbox
from evo.engine.inbox import Verb


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
    (folder / ".half.tmp").write_text("{")
    assert [request for _, request in inbox.take(tmp_path)] == [None, None]
