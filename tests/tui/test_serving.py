"""Serving to a browser: real HTTP on loopback, a token, and the app at the other end."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import httpx
import pytest

from evo.tui.views.place import Place
from tests.projects import wait_until
from tests.tui.runs import make_run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_run(tmp_path_factory.mktemp("served"))


@contextmanager
def served(place: Place, *more: str) -> Iterator[str]:
    """Where `evo serve` says that it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    project = place.archive_folder.parent.parent
    server = subprocess.Popen(
        [sys.executable, "-m", "evo", "serve", "main", "--port", str(port), *more],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None

        def is_up() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(is_up, "it listens")
        yield found.group()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def address(place: Place) -> Iterator[str]:
    with served(place) as found:
        yield found


def test_no_page_from_elsewhere_opens_a_terminal(place: Place) -> None:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    with served(place, "--no-token") as address:
        assert httpx.get(address).status_code == 200
        assert httpx.get(address, headers={"Origin": address.rstrip("/")}).status_code == 200
        for origin in ("https://elsewhere.example", "null"):
            headers = upgrade | {"Origin": origin}
            assert httpx.get(f"{address}ws", headers=headers).status_code == 403
        renamed = {"Host": "elsewhere.example:1", "Origin": "http://elsewhere.example:1"}
        assert httpx.get(f"{address}ws", headers=upgrade | renamed).status_code == 403


def test_without_the_token_nobody_gets_in(address: str) -> None:
    bare = address.partition("?")[0]
    assert httpx.get(bare).status_code == 403
    assert httpx.get(f"{bare}?token=wrong").status_code == 403
    assert httpx.get(f"{bare}ws").status_code == 403


def test_with_the_token_the_browser_is_given_the_screen(address: str) -> None:
    with httpx.Client(follow_redirects=True) as client:
        page = client.get(address)
        assert page.status_code == 200
        assert "token=" not in str(page.url)

    async def first_picture() -> str:
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address made of numbers
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            (await session.get(address)).close()
            socket_address = address.partition("?")[0].replace("http", "ws") + "ws"
            async with session.ws_connect(f"{socket_address}?width=100&height=30") as stream:
                seen = ""
                while "Overview" not in seen:
                    message = await stream.receive(timeout=60)
                    if isinstance(message.data, bytes):
                        seen += message.data.decode("utf-8", "replace")
                return seen

    assert "Overview" in asyncio.run(first_picture())
