"""Serving the terminal interface to a browser, to whoever has the token."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware
from textual_serve.server import Server

COOKIE = "evo_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class TokenServer(Server):
    """Textual's own server behind a token, which comes in the address once and then as a cookie.

    Args:
        command: Shell words of what runs in each browser's terminal.
        host: Address to listen on.
        port: Port to listen on.
        token: Empty lets everybody in.
    """

    def __init__(self, command: str, host: str, port: int, token: str) -> None:
        super().__init__(command, host=host, port=port, title="evo")
        self._token = token

    @property
    def address(self) -> str:
        """What to open."""
        query = f"?token={self._token}" if self._token else ""
        return f"http://{self.host}:{self.port}/{query}"

    async def on_startup(self, app: web.Application) -> None:
        """Whoever made this says where it is."""

    def initialize_logging(self) -> None:
        """Nothing is logged: addresses have tokens in them."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._refuse_other_pages())
        if self._token:
            app.middlewares.append(self._guard())
        return app

    def _refuse_other_pages(self) -> Middleware:
        """A page from elsewhere may not open a terminal here, in the browser of whoever looks at
        it: neither as itself, nor, where no token keeps it out, under a name of its own that leads
        to this machine.
        """
        is_open = not self._token and self.host in LOOPBACK

        @web.middleware
        async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
            origin = request.headers.get("Origin", "")
            is_foreign = bool(origin) and urlsplit(origin).netloc != request.host
            is_renamed = is_open and urlsplit(f"//{request.host}").hostname not in LOOPBACK
            if is_foreign or is_renamed:
                text = "Open evo serve itself, not a page that leads to it."
                return web.Response(status=403, text=text)
            return await handler(request)

        return refuse

    def _guard(self) -> Middleware:
        token = self._token

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.query.get("token", "")
            if secrets.compare_digest(given.encode(), token.encode()):
                found = web.HTTPFound(request.path)
                found.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
                return found
            kept = request.cookies.get(COOKIE, "")
            if not secrets.compare_digest(kept.encode(), token.encode()):
                return web.Response(status=403, text="Open the address that evo serve printed.")
            return await handler(request)

        return guard
