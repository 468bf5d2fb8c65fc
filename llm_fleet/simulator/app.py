"""The ASGI application: which path means what. The paths that begin with `/_` are the simulator's own.

GET  /_books            the books; `?requests=0` leaves the single requests out
POST /_faults           a list of faults, in place of those in force
POST /_reset            full levels and empty books
GET  /_health           {"ok": true}
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .anthropic import Anthropic
from .config import parse_faults
from .delivery import deliver
from .dialect import Dialect, Problem
from .exchange import Exchange, Receive, Reply, Scope, Send
from .openai import OpenAI
from .provider import Provider

__all__ = ["Application"]

_Endpoint: TypeAlias = Callable[[Exchange], Awaitable[None]]


class Application:
    """Hands each request to the provider in the dialect of its path."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._routes: dict[tuple[str, str], _Endpoint] = {
            ("GET", "/_books"): self._books,
            ("POST", "/_faults"): self._faults,
            ("POST", "/_reset"): self._reset,
            ("GET", "/_health"): self._health,
        }
        if provider.config.kind != "openai":
            self._add(Anthropic(), "/v1/messages", "/v1/messages/count_tokens")
        if provider.config.kind != "anthropic":
            self._add(OpenAI(), "/v1/chat/completions", "/v1/responses/input_tokens")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        endpoint = self._routes.get((exchange.method, exchange.path), self._no_such_place)
        await endpoint(exchange)

    def _add(self, dialect: Dialect, calls: str, counts: str) -> None:
        async def call(exchange: Exchange) -> None:
            await self._call(dialect, exchange)

        async def count(exchange: Exchange) -> None:
            body = await exchange.body()
            await exchange.reply(self._provider.count(dialect, exchange.headers, body))

        self._routes["POST", calls] = call
        self._routes["POST", counts] = count

    async def _call(self, dialect: Dialect, exchange: Exchange) -> None:
        body = await exchange.body()
        decision = self._provider.admit(dialect, exchange.headers, body)
        if isinstance(decision, Reply):
            await exchange.reply(decision)
        else:
            await deliver(decision, exchange)

    async def _books(self, exchange: Exchange) -> None:
        requests = b"requests=0" not in exchange.query
        await exchange.reply(Reply(200, self._provider.report(requests=requests)))

    async def _faults(self, exchange: Exchange) -> None:
        try:
            faults = parse_faults(json.loads(await exchange.body()))
        except ValueError as error:
            await exchange.reply(Reply(400, {"error": str(error)}))
            return
        self._provider.faults.set(faults)
        await exchange.reply(Reply(200, {"ok": True}))

    async def _reset(self, exchange: Exchange) -> None:
        self._provider.reset()
        await exchange.reply(Reply(200, {"ok": True}))

    async def _health(self, exchange: Exchange) -> None:
        await exchange.reply(Reply(200, {"ok": True}))

    async def _no_such_place(self, exchange: Exchange) -> None:
        known = any(path == exchange.path for _, path in self._routes)
        problem = Problem(405 if known else 404, f"{exchange.method} {exchange.path} is not known here")
        dialect: Dialect = Anthropic() if b"anthropic-version" in exchange.headers else OpenAI()
        await exchange.reply(Reply(problem.status, dialect.problem_body(problem, 0)))
