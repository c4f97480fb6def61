"""Downloads of parquet files: resumed where a line broke, and checked by their checksums.

A file that is under way is NAME.part, beside NAME.part.json, which says what the server promised.
"""

from __future__ import annotations

import email.utils
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from evo import __version__
from evo.corpus.corpus import FileRecord, sha256_of
from evo.corpus.sources import Listener, Progress, Stage
from evo.errors import CorpusError

if TYPE_CHECKING:
    import httpx
    import tenacity

PARALLEL = 4
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may do better a little later."""
SHA256 = re.compile(r"[0-9a-f]{64}")
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
PARQUET_MAGIC = b"PAR1"
"""The first and the last four bytes of a parquet file."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download goes on against a bad line."""

    attempts: int = 6
    """In a row that bring no new byte."""
    first_wait_seconds: float = 1.0
    """Doubled after each of them."""
    longest_wait_seconds: float = 60.0
    longest_asked_seconds: float = 600.0
    """Longest wait that a server may ask for by Retry-After."""
    silence_seconds: float = 30.0
    """A connection that says nothing for so long is broken."""


def download(
    names: list[str],
    base_url: str,
    folder: Path,
    patience: Patience,
    on_progress: Listener,
    parallel: int = PARALLEL,
) -> tuple[FileRecord, ...]:
    """Downloads parquet files, some at a time; those that are there already aren't asked for.

    Returns:
        The files in the order of `names`, with the checksums of what is on disk.

    Raises:
        CorpusError: A file isn't there, isn't what the server promised, or can't be had.
        OSError: The folder can't be written.
    """
    import httpx
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    meter, stop = _Meter(len(names), on_progress), threading.Event()
    with (
        FileLock(folder / ".lock"),
        httpx.Client(
            follow_redirects=True,
            timeout=patience.silence_seconds,
            headers={"User-Agent": f"evo/{__version__}", "Accept-Encoding": "identity"},
        ) as client,
        ThreadPoolExecutor(parallel) as pool,
    ):
        runs = [
            _Download(
                client, f"{base_url.rstrip('/')}/{name}", folder / name, patience, meter, stop
            )
            for name in names
        ]
        futures = [pool.submit(run.run) for run in runs]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return tuple(future.result() for future in futures)


class _Meter:
    """Adds up the bytes of all files for one listener."""

    def __init__(self, files: int, on_progress: Listener) -> None:
        self._files, self._on_progress = files, on_progress
        self._done: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._lock = threading.Lock()

    def note(self, name: str, done: int, total: int | None) -> None:
        with self._lock:
            self._done[name] = done
            if total is not None:
                self._totals[name] = total
            # Shards are about equally large, so those that are known tell of the others.
            known = sum(self._totals.values()) / len(self._totals) if self._totals else 0.0
            guess = round(known * self._files) or None
            self._on_progress(Progress(Stage.DOWNLOAD, sum(self._done.values()), guess))


class _TransientError(Exception):
    """Something that may go better next time."""

    def __init__(self, cause: str, asked_seconds: float | None = None) -> None:
        super().__init__(cause)
        self.asked_seconds = asked_seconds


class _StoppedError(Exception):
    """Another file failed, so this one needn't go on."""


class _Promise(msgspec.Struct, frozen=True):
    """What the server said of a file when it began to send it."""

    validator: str | None = None
    """A strong ETag or a date, by which a resumed download knows the file again."""
    total: int | None = None
    sha256: str | None = None


class _Download:
    """One file, until it is whole or patience is at its end."""

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        path: Path,
        patience: Patience,
        meter: _Meter,
        stop: threading.Event,
    ) -> None:
        self._client, self._url, self._path = client, url, path
        self._patience, self._meter, self._stop = patience, meter, stop
        self._part = path.with_name(path.name + ".part")
        self._promise_path = path.with_name(path.name + ".part.json")
        self._furthest = self._size()
        self._fruitless = 0
        self._mismatches = 0

    def run(self) -> FileRecord:
        """Downloads the file.

        Raises:
            CorpusError: It can't be had.
        """
        import tenacity

        if not self._path.is_file():
            try:
                tenacity.Retrying(
                    retry=tenacity.retry_if_exception_type(_TransientError),
                    stop=self._out_of_patience,
                    wait=self._wait_seconds,
                    sleep=self._sleep,
                    reraise=True,
                )(self._attempt)
            except _TransientError as error:
                raise CorpusError(
                    f"{self._url} can't be downloaded: {error} ({self._fruitless} attempts); what "
                    "came is kept, so run the same command again later, or name a mirror with "
                    "--base-url"
                ) from error
        size = self._path.stat().st_size
        self._meter.note(self._path.name, size, size)
        return FileRecord(self._path.name, size, sha256_of(self._path))

    def _attempt(self) -> None:
        import httpx

        have, promise = self._size(), self._read_promise()
        if have == 0 or have != promise.total:
            try:
                with self._client.stream(
                    "GET", self._url, headers=_resume(have, promise)
                ) as answer:
                    have, promise = self._begin(answer, have, promise)
                    self._receive(answer, have, promise)
            except httpx.TransportError as error:
                raise _TransientError(str(error) or type(error).__name__) from error
            except httpx.HTTPError as error:
                raise CorpusError(f"{self._url} can't be downloaded: {error}") from error
        self._finish(promise)

    def _begin(self, answer: httpx.Response, have: int, promise: _Promise) -> tuple[int, _Promise]:
        """Where the body that follows belongs, and what is promised of the file."""
        _refuse(answer, self._url)
        if answer.status_code == 206:
            found = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if found and (int(found[1]), int(found[2])) == (have, promise.total):
                return have, promise
        if answer.status_code != 200:
            # Not the file of which the beginning is here: begin again.
            self._discard()
            raise _TransientError(f"the server answered {answer.status_code} to a resumed download")
        self._discard()
        promise = _promise_of(answer)
        self._promise_path.write_bytes(msgspec.json.encode(promise))
        return 0, promise

    def _receive(self, answer: httpx.Response, have: int, promise: _Promise) -> None:
        name = self._path.name
        with self._part.open("ab") as stream:
            self._meter.note(name, have, promise.total)
            # Without a size: chunks of a size would be lost in part when the line breaks.
            for chunk in answer.iter_raw():
                if self._stop.is_set():
                    raise _StoppedError
                stream.write(chunk)
                have += len(chunk)
                self._meter.note(name, have, promise.total)
            stream.flush()
            os.fsync(stream.fileno())
        if promise.total is not None and have != promise.total:
            raise _TransientError(f"{have:,} of {promise.total:,} bytes came")

    def _finish(self, promise: _Promise) -> None:
        """Gives a whole file its name, if it is what was promised."""
        found = sha256_of(self._part)
        if promise.sha256 not in (None, found):
            self._discard()
            self._mismatches += 1
            cause = f"it has SHA-256 {found[:12]}…, the server promised {promise.sha256[:12]}…"
            if self._mismatches < 2:
                raise _TransientError(cause)
            raise CorpusError(
                f"{self._url} arrived damaged twice: {cause}; try later, or name another mirror "
                "with --base-url"
            )
        if not _is_parquet(self._part):
            self._discard()
            raise CorpusError(
                f"{self._url} isn't a parquet file (a page that asks for a login, perhaps); check "
                "--base-url and the network"
            )
        self._part.rename(self._path)
        self._promise_path.unlink(missing_ok=True)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _read_promise(self) -> _Promise:
        try:
            return msgspec.json.decode(self._promise_path.read_bytes(), type=_Promise)
        except (OSError, msgspec.MsgspecError):
            return _Promise()

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._promise_path.unlink(missing_ok=True)

    def _out_of_patience(self, state: tenacity.RetryCallState) -> bool:
        """Counts attempts that brought nothing new: a slow line that moves may take for ever."""
        size = self._size()
        self._fruitless = 1 if size > self._furthest else self._fruitless + 1
        self._furthest = max(size, self._furthest)
        return self._fruitless >= self._patience.attempts

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.asked_seconds if isinstance(error, _TransientError) else None
        if asked is None:
            wait = self._patience.first_wait_seconds * 2.0 ** (self._fruitless - 1)
            return min(wait, self._patience.longest_wait_seconds)
        if asked > self._patience.longest_asked_seconds:
            raise CorpusError(
                f"{self._url} is busy, and the server asks to come back in {asked:,.0f} seconds; "
                "run the same command again then, or name a mirror with --base-url"
            )
        return asked

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError


def _resume(have: int, promise: _Promise) -> dict[str, str]:
    """Headers that ask for the rest; none where the file couldn't be known again."""
    if have == 0 or promise.total is None:
        return {}
    headers = {"Range": f"bytes={have}-"}
    if promise.validator is not None:
        headers["If-Range"] = promise.validator
    return headers


def _promise_of(answer: httpx.Response) -> _Promise:
    """What the headers say; the hub names the SHA-256 in the redirect to where the file is."""
    etag = answer.headers.get("ETag", "")
    strong = etag if etag.startswith('"') else None
    length = answer.headers.get("Content-Length", "")
    tags = [each.headers.get("X-Linked-ETag", "") for each in (*answer.history, answer)]
    sums = [tag.strip('"') for tag in (*tags, etag)]
    return _Promise(
        validator=strong or answer.headers.get("Last-Modified"),
        total=int(length) if length.isdecimal() else None,
        sha256=next((each for each in sums if SHA256.fullmatch(each)), None),
    )


def _refuse(answer: httpx.Response, url: str) -> None:
    """Explains an answer that brings no file."""
    status = answer.status_code
    if status in BUSY:
        raise _TransientError(f"the server answered {status}", _asked_seconds(answer))
    if status in (404, 410):
        raise CorpusError(
            f"{url} isn't there (the server answered {status}); check --base-url, or ask for fewer "
            "--shards"
        )
    if status in (401, 403):
        raise CorpusError(
            f"{url} may not be read (the server answered {status}); name a mirror with --base-url, "
            "or other text with --source PATH"
        )
    if status not in (200, 206, 416):
        raise CorpusError(f"{url} can't be had: the server answered {status}; check --base-url")


def _asked_seconds(answer: httpx.Response) -> float | None:
    """Retry-After, as seconds or as a date; None if there is none that makes sense."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == PARQUET_MAGIC and _last_bytes(stream, 4) == PARQUET_MAGIC


def _last_bytes(stream: IO[bytes], count: int) -> bytes:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - count))
    return stream.read(count)
