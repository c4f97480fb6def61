"""A real HTTP server on loopback that speaks /v1/chat/completions, plain and in pieces, and that
can be told to fail in every way in which such servers fail.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 40
"""Characters of a streamed piece."""


@dataclass(frozen=True)
class Said:
    """What the server does with one request."""

    text: str | None = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    finish: str = "stop"
    seconds: float = 0.0
    """Before it begins."""
    body: bytes | None = None
    """Sent as it is, in place of an answer."""
    drips: float = 0.0
    """Seconds for which it sends a blank now and then before its answer: nothing that ends a
    client's waiting for the next byte."""
    hangs_up: bool = False
    """The connection is closed without a word, or in the middle of a stream."""
    error: str = "told to fail"
    tokens: tuple[int, int] = (1000, 100)


@dataclass
class Request:
    """What was asked."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        return "\n".join(str(message["content"]) for message in self.body["messages"])

    @property
    def model(self) -> str:
        return str(self.body["model"])


Script = Callable[[Request], Said]


class Server(ThreadingHTTPServer):
    """Answers by its script, and remembers what it was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.requests: list[Request] = []

    @property
    def base(self) -> str:
        """For `api_base` or OPENAI_API_BASE."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        request = Request(
            json.loads(self.rfile.read(length)),
            {name.lower(): value for name, value in self.headers.items()},
        )
        self.server.requests.append(request)
        said = self.server.script(request)
        time.sleep(said.seconds)
        if said.hangs_up and not request.body.get("stream"):
            self.close_connection = True
            return
        if said.body is not None:
            self._send(said, said.body)
        elif said.status != 200:
            fault = {"error": {"message": said.error, "type": "error", "code": str(said.status)}}
            self._send(said, json.dumps(fault).encode())
        elif request.body.get("stream"):
            self._stream(said, request.model)
        else:
            self._send(said, json.dumps(_answer(said, request.model)).encode())

    def _send(self, said: Said, body: bytes) -> None:
        self.send_response(said.status)
        self.send_header("content-type", "application/json")
        for name, value in said.headers.items():
            self.send_header(name, value)
        if said.drips:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._drip(said)
            self._chunk(body)
            self._chunk(b"")
            return
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, said: Said, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._drip(said)
        for number, piece in enumerate(_pieces(said, model)):
            if said.hangs_up and number:
                self.close_connection = True
                return
            self._chunk(b"data: " + json.dumps(piece).encode() + b"\n\n")
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _drip(self, said: Said) -> None:
        until = time.monotonic() + said.drips
        while time.monotonic() < until:
            self._chunk(b"\n")
            time.sleep(0.1)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _answer(said: Said, model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": said.text}
    return {
        "id": "answer", "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
        "usage": _usage(said),
    }  # fmt: skip


def _usage(said: Said) -> dict[str, int]:
    given, made = said.tokens
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _pieces(said: Said, model: str) -> Iterator[dict[str, Any]]:
    text = said.text or ""
    head = {"id": "answer", "object": "chat.completion.chunk", "created": 0, "model": model}
    for at in range(0, len(text), PIECE):
        delta = {"role": "assistant", "content": text[at : at + PIECE]}
        yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": said.finish}]}
    yield head | {"choices": [], "usage": _usage(said)}


@contextmanager
def serving(script: Script | Said) -> Iterator[Server]:
    """A server on a thread of its own; it ends with the block."""
    server = Server(script if callable(script) else lambda request: script)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
