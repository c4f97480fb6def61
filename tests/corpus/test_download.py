"""Downloads from a real server on loopback that breaks in every way that servers do."""

import email.utils
import hashlib
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evo.corpus.climbmix import ClimbmixSource
from evo.corpus.corpus import FileRecord, Split
from evo.corpus.download import Patience, download
from evo.corpus.preparation import prepare
from evo.corpus.sources import Progress, nobody
from evo.errors import CorpusError

NAME = "shard_00000.parquet"
CONTENT = b"PAR1" + bytes(range(256)) * 4_000 + b"PAR1"
SHA = hashlib.sha256(CONTENT).hexdigest()
HASTY = Patience(attempts=3, first_wait_seconds=0.01, silence_seconds=5.0)


class Server(ThreadingHTTPServer):
    """Serves files; `script` says how to fail, request by request, and then all is fine.

    Ways: fine, drop (half of the rest, then the line breaks), reset (no answer), ignore (no
    ranges), redirect (as the hub does), wrong (other bytes), late (silence), an answer `503`, or
    one with Retry-After, `503 0`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {f"/{NAME}": CONTENT}
        self.etag = '"first"'
        self.script: dict[str, list[str]] = defaultdict(list)
        self.asked: list[tuple[str, str, str]] = []
        """Path, Range and If-Range of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append((self.path, wanted, self.headers.get("If-Range", "")))
        steps = self.server.script[self.path]
        way = steps.pop(0) if steps else "fine"
        content = self.server.files.get(self.path.removeprefix("/cdn"))
        if way == "reset":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif way == "late":
            time.sleep(2.0)
        elif content is None:
            self.answer(404)
        elif way[0].isdigit():
            status, _, retry_after = way.partition(" ")
            self.answer(int(status), **({"Retry-After": retry_after} if retry_after else {}))
        elif way == "redirect":
            links = {"Location": f"/cdn{self.path}", "X-Linked-ETag": f'"{SHA}"'}
            self.answer(302, **links)
        else:
            self.send(content, way, wanted)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, content: bytes, way: str, wanted: str) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        fresh = self.headers.get("If-Range", self.server.etag) == self.server.etag
        whole = not wanted or way == "ignore" or not fresh
        body = content if whole else content[start:]
        if way == "wrong":
            body = body[:-5] + b"x" + body[-4:]
        headers = {"Content-Length": str(len(body))}
        if self.server.etag:
            headers["ETag"] = self.server.etag
        if not whole:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(200 if whole else 206, **headers)
        self.wfile.write(body[: len(body) // 2] if way in ("drop", "ignore-drop") else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server: Server, folder: Path, patience: Patience = HASTY) -> FileRecord:
    (record,) = download([NAME], server.url, folder, patience, nobody)
    assert (folder / NAME).read_bytes() == CONTENT
    assert not list(folder.glob("*.part*"))
    return record


def refusal(server: Server, folder: Path, patience: Patience = HASTY) -> str:
    with pytest.raises(CorpusError) as caught:
        download([NAME], server.url, folder, patience, nobody)
    assert "\n" not in str(caught.value)
    assert not (folder / NAME).exists()
    return str(caught.value)


def test_a_file_comes_whole_and_its_checksum_is_noted(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path) == FileRecord(NAME, len(CONTENT), SHA)
    assert server.asked == [(f"/{NAME}", "", "")]


def test_what_is_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    assert fetch(server, tmp_path).sha256 == SHA
    assert len(server.asked) == 1


def test_a_broken_line_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["drop", "drop", "drop", "drop"]  # more than attempts: it moves
    fetch(server, tmp_path)
    ranges = [wanted for _, wanted, _ in server.asked]
    half = len(CONTENT) // 2
    assert ranges[:3] == ["", f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert {tag for _, wanted, tag in server.asked if wanted} == {'"first"'}


def test_a_later_call_takes_up_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["drop", "503", "503", "503"]
    assert "what came is kept" in refusal(server, tmp_path)
    assert (tmp_path / f"{NAME}.part").stat().st_size == len(CONTENT) // 2
    fetch(server, tmp_path)
    assert server.asked[-1][1] == f"bytes={len(CONTENT) // 2}-"


def test_without_an_etag_the_length_decides(server: Server, tmp_path: Path) -> None:
    server.etag = ""
    server.script[f"/{NAME}"] = ["drop"]
    fetch(server, tmp_path)
    assert server.asked[-1][1:] == (f"bytes={len(CONTENT) // 2}-", "")


def test_a_file_that_changed_meanwhile_is_begun_again(server: Server, tmp_path: Path) -> None:
    server.files[f"/{NAME}"] = b"PAR1" + b"older" * 1_000
    server.script[f"/{NAME}"] = ["drop", "503", "503", "503"]
    refusal(server, tmp_path)
    server.files[f"/{NAME}"], server.etag = CONTENT, '"second"'
    fetch(server, tmp_path)


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["drop", "ignore"]
    fetch(server, tmp_path)
    assert len(server.asked) == 2


def test_a_server_without_ranges_that_always_breaks_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    server.etag = '"changes"'
    server.script[f"/{NAME}"] = ["drop", "reset", "reset", "reset"]
    assert "can't be downloaded" in refusal(server, tmp_path)


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["503", "429 0"]
    fetch(server, tmp_path)
    assert len(server.asked) == 3


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(server: Server, tmp_path: Path, as_date: bool) -> None:
    later = email.utils.formatdate(time.time() + 2, usegmt=True)  # whole seconds: 1 to 2 from now
    server.script[f"/{NAME}"] = [f"503 {later if as_date else 1}"]
    begun = time.monotonic()
    fetch(server, tmp_path)
    assert time.monotonic() - begun >= (0.9 if as_date else 1.0)


def test_a_server_that_asks_for_hours_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["429 7200"]
    assert "asks to come back in 7,200 seconds" in refusal(server, tmp_path)


def test_a_server_that_stays_busy_is_given_up(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["500"] * 9
    assert "the server answered 500 (3 attempts)" in refusal(server, tmp_path)
    assert len(server.asked) == 3


def test_silence_counts_as_a_broken_line(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["late"]
    fetch(server, tmp_path, replace(HASTY, silence_seconds=0.3))


def test_a_server_that_is_down_is_named(tmp_path: Path, server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(CorpusError, match=rf"{url}/{NAME} can't be downloaded: .*refused"):
            download([NAME], url, tmp_path, HASTY, nobody)


def test_a_missing_file_says_what_to_check(server: Server, tmp_path: Path) -> None:
    server.files.clear()
    said = refusal(server, tmp_path)
    assert "isn't there (the server answered 404); check --base-url" in said
    assert len(server.asked) == 1


def test_a_forbidden_file_says_what_to_do(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["403"]
    assert "may not be read (the server answered 403)" in refusal(server, tmp_path)


def test_the_checksum_of_a_redirect_is_checked(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["redirect"]
    assert fetch(server, tmp_path).sha256 == SHA


def test_a_damaged_file_is_fetched_once_more(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["redirect", "redirect"]
    server.script[f"/cdn/{NAME}"] = ["wrong", "fine"]
    fetch(server, tmp_path)


def test_a_file_that_stays_damaged_is_refused(server: Server, tmp_path: Path) -> None:
    server.script[f"/{NAME}"] = ["redirect"] * 3
    server.script[f"/cdn/{NAME}"] = ["wrong"] * 3
    said = refusal(server, tmp_path)
    assert f"arrived damaged twice: it has SHA-256 {said.split('SHA-256 ')[1][:12]}" in said
    assert SHA[:12] in said
    assert not list(tmp_path.glob("*.part*"))


def test_a_page_instead_of_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.files[f"/{NAME}"] = b"<html>please log in</html>"
    assert "isn't a parquet file" in refusal(server, tmp_path)


def test_a_part_whose_note_is_lost_is_begun_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"something else")
    fetch(server, tmp_path)


def test_many_files_come_and_the_bytes_add_up(server: Server, tmp_path: Path) -> None:
    names = [f"shard_{number:05d}.parquet" for number in range(9)]
    for name in names:
        server.files[f"/{name}"] = CONTENT
        server.script[f"/{name}"] = ["drop"]
    seen: list[Progress] = []
    records = download(names, server.url + "/", tmp_path, HASTY, seen.append)
    assert [record.name for record in records] == names
    assert seen[-1].done_bytes == seen[-1].total_bytes == 9 * len(CONTENT)


def test_one_file_that_fails_stops_the_others(server: Server, tmp_path: Path) -> None:
    names = [f"shard_{number:05d}.parquet" for number in range(40)]
    for name in names[1:]:
        server.files[f"/{name}"] = CONTENT
        server.script[f"/{name}"] = ["503 30"]
    del server.files[f"/{NAME}"]
    begun = time.monotonic()
    with pytest.raises(CorpusError, match="404"):
        download(names, server.url, tmp_path, HASTY, nobody)
    assert time.monotonic() - begun < 10
    assert len(server.asked) < 20


@pytest.mark.parametrize("shards", [0, -1, 6_544])
def test_climbmix_has_a_number_of_shards(tmp_path: Path, shards: int) -> None:
    with pytest.raises(CorpusError, match="1 to 6,543 shards"):
        ClimbmixSource(tmp_path, shards)


def test_an_address_that_is_not_of_the_web_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="an address https://"):
        ClimbmixSource(tmp_path, 1, "ftp://mirror")


def test_climbmix_is_prepared_from_its_shards(server: Server, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for number in range(2):
        texts = [f"{number} {each} " + "many words of the web " * 40 for each in range(200)]
        pq.write_table(pa.table({"text": texts}), tmp_path / "shard", row_group_size=50)
        server.files[f"/shard_{number:05d}.parquet"] = (tmp_path / "shard").read_bytes()
    server.script["/shard_00001.parquet"] = ["drop", "503 0"]
    source = ClimbmixSource(tmp_path / "shards", 2, server.url, HASTY)
    corpus = prepare(source, tmp_path / "data" / "climbmix", vocab_size=300)
    assert [file.sha256 for file in corpus.manifest.source.downloads] == [
        hashlib.sha256(server.files[f"/shard_{number:05d}.parquet"]).hexdigest()
        for number in range(2)
    ]
    assert "127.0.0.1" not in (corpus.folder / "manifest.json").read_text()
    assert corpus.manifest.splits[Split.TRAIN].documents > 200
    asked = len(server.asked)
    assert prepare(source, tmp_path / "data" / "climbmix", vocab_size=300).sha == corpus.sha
    assert len(server.asked) == asked
