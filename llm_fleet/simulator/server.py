"""Runs the application on uvicorn in this process, until it is told to stop or its parent is gone."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable

import uvicorn

from .app import Application
from .config import SimulatorConfig, SimulatorError
from .provider import Provider

__all__ = ["run"]

KEEP_ALIVE_S = 3600
"""Longer than any client keeps a connection: none is closed under a request that is on its way."""


def run(
    config: SimulatorConfig, address: tuple[str, int], *, parent: int | None, announce: Callable[[str], None]
) -> None:
    """Serve until interrupted or, with `parent`, until that process is no longer our parent.

    `announce` gets the url as soon as it answers.

    Raises:
        SimulatorError: the address cannot be had.
    """
    with _listen(*address) as listener, contextlib.suppress(KeyboardInterrupt):
        url = f"http://{address[0]}:{listener.getsockname()[1]}"
        server = _Server(Application(Provider(config)), parent, lambda: announce(url))
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, app: Application, parent: int | None, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=0,
            )
        )
        self._parent = parent
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        orphaned = self._parent is not None and os.getppid() != self._parent
        return orphaned or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # calls in flight are cut off: no news
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: else an answer in one piece
    # waits 40 ms for the client's delayed ACK, between its headers and its body.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SimulatorError(
            f"simulator: cannot listen on {host}:{port} ({error.strerror}); port 0 takes a free one"
        ) from error
    return listener
