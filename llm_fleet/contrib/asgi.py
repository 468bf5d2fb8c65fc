"""llm_fleet in ASGI servers: opened and closed with the application, and answers for probes.

    app = Starlette(routes=[Mount("/health", health), …], lifespan=lifespan)   # FastAPI likewise
    manager = request.state.llm_manager

An application that has no lifespan of its own is wrapped: `app = WithLifespan(app)`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from ..errors import LLMFleetError
from ..manager import LLMManager, get_llm_manager, opened_manager

__all__ = ["WithLifespan", "health", "lifespan"]

NOT_OPEN = {
    "live": True,
    "ready": False,
    "reasons": ["no manager is open: give the application llm_fleet.contrib.asgi.lifespan"],
}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@asynccontextmanager
async def lifespan(app: Any = None) -> AsyncIterator[dict[str, LLMManager]]:
    """Open the process's manager, and close it when the server stops: calls in flight are settled.

    Gives the state `llm_manager`. A Redis that is away does not keep the server from starting: `health`
    says that it is not ready.

    Raises:
        ConfigError: the config cannot work; the server does not start.
    """
    manager = await get_llm_manager()
    manager.health()
    try:
        yield {"llm_manager": manager}
    finally:
        await manager.close()


async def health(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application for probes: `…/live` and `…/ready` answer 200 or 503, and why, as JSON.

    Liveness never depends on Redis: a restart would not bring it back.
    """
    if scope["type"] != "http":
        return
    manager = opened_manager()
    state = manager.health() if manager is not None else NOT_OPEN
    asked = {"live": "live", "ready": "ready"}.get(scope["path"].rstrip("/").rpartition("/")[2])
    status = 404 if asked is None else 200 if state[asked] else 503
    await _answer(send, status, state)


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


class WithLifespan:
    """An ASGI application around one that has no lifespan: ours, and its state in every request."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        async with AsyncExitStack() as stack:
            try:
                state = await stack.enter_async_context(lifespan())
            except LLMFleetError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            scope.get("state", {}).update(state)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
