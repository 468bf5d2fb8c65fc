"""What an adapter is, and what the vendors' adapters share: opening clients, reading streams.

Knows the library's own values and no vendor; errors are translated in `failures`.
"""

from __future__ import annotations

import functools
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from ..models import Call, Response, Usage
from .failures import incomplete, unreadable

__all__ = [
    "Adapter",
    "Emission",
    "Fold",
    "folded",
    "http_client",
    "load_transport",
    "mark_sent",
    "per_read",
    "tool_arguments",
    "warn_once",
]

log = logging.getLogger(__name__)

_CONNECT_S = 10.0
_BYTES_PER_TOKEN = 5
"""Rarely too few: what a report of progress has charged is not given back (ENGINE.md §3)."""


class Adapter(Protocol):
    """One vendor: a `Call` becomes its request, its answer a `Response`, its errors ours.

    The methods raise only `ProviderError`s, and `asyncio.CancelledError` as it is. An adapter
    holds no state: one serves every client, loop and thread of the process.
    """

    kind: str

    def load(self) -> None:
        """Import the vendor's SDK, which takes up to a second; for a thread. Twice is once."""
        ...

    def open_client(self, *, api_key: str, base_url: str | None, timeout: float) -> Any:
        """A client of the vendor's SDK that never retries; `timeout` bounds each read."""
        ...

    async def close_client(self, sdk: Any) -> None: ...

    async def complete(self, sdk: Any, call: Call) -> Response:
        """One attempt. With `call.sink` it streams: text is pushed, progress reported."""
        ...

    async def count_tokens(self, sdk: Any, call: Call) -> int | None:
        """The provider's own count of the input; None where it offers none for this call."""
        ...


class Emission:
    """What a stream has produced so far: shows the text, reports the tokens."""

    __slots__ = ("_bytes", "_exact", "_lease", "_reported", "_sink", "parts", "started")

    def __init__(self, call: Call) -> None:
        self._sink = call.sink
        self._lease = call.lease
        self._bytes = 0
        self._exact = 0
        self._reported = 0
        self.parts: list[str] = []
        self.started: Usage | None = None
        """What the provider itself has said of the usage."""

    async def show(self, text: str) -> None:
        """Text of the answer: it goes to the reader, who may hold us up."""
        if text:
            self.count(text)
            self.parts.append(text)
            if self._sink is not None:
                await self._sink.push(text)

    def count(self, piece: str) -> None:
        """Output that the reader does not see, such as tool arguments, is produced all the same."""
        self._bytes += len(piece) if piece.isascii() else len(piece.encode("utf-8", "replace"))
        tokens = self._bytes // _BYTES_PER_TOKEN
        if tokens > self._reported:
            self._report(tokens)

    def know(self, usage: Usage) -> None:
        """The provider's own cumulative figures; they replace the ones before."""
        self.started = usage
        self._exact = usage.output_tokens
        self._report(usage.output_tokens)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def usage(self) -> Usage | None:
        """What an attempt that ends here has consumed; None while the input is not known."""
        if self.started is None:
            return None
        return replace(self.started, output_tokens=max(self._exact, self._reported))

    def _report(self, output_tokens: int) -> None:
        if output_tokens > self._reported:
            self._reported = output_tokens
            if self._lease is not None:
                self._lease.progress(output_tokens)


class Fold(Protocol):
    """Puts the events of a stream together."""

    @property
    def complete(self) -> bool:
        """The vendor's own end marker came; without it a clean end is a broken stream."""
        ...

    @property
    def whole(self) -> Any:
        """What an answer in one piece would have been."""
        ...

    def add(self, event: Any) -> str: ...


async def folded(stream: Any, fold: Fold, emission: Emission, call: Call) -> Any:
    """Show the text of a stream as it comes; gives the whole answer. Whatever happens, it is closed."""
    try:
        async with stream:
            async for event in stream:
                text = _readable(fold, event, emission, call)
                if text:
                    await emission.show(text)
    except Exception:
        if not fold.complete:
            raise
    if not fold.complete:
        raise incomplete(call, emission)
    return fold.whole


def _readable(fold: Fold, event: Any, emission: Emission, call: Call) -> str:
    try:
        return fold.add(event)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise unreadable(call, f"an event of another shape ({type(error).__name__})", emission) from error


def mark_sent(call: Call) -> None:
    """From here on the attempt may have cost something."""
    if call.lease is not None:
        call.lease.mark_sent()


def tool_arguments(text: str) -> Mapping[str, Any]:
    """The arguments of a tool call; what is no JSON object (a cut answer) is kept under `invalid_json`."""
    try:
        arguments = json.loads(text or "{}")
    except ValueError:
        return {"invalid_json": text}
    return arguments if isinstance(arguments, dict) else {"invalid_json": text}


@functools.cache
def warn_once(event: str, advice: str) -> None:
    """Something of the request was left out, and why: said once per process, not once per call."""
    log.warning("llm_fleet.%s: %s", event, advice)


def http_client(default_client: Callable[..., Any]) -> Any:
    """The SDK's client on aiohttp, which costs less CPU; None where its extra is not installed."""
    try:
        return default_client(verify=_trusted_certificates())
    except RuntimeError:
        return None


def load_transport() -> None:
    """Import and read what `http_client` needs."""
    with suppress(ImportError):
        import aiohttp  # noqa: F401
    _trusted_certificates()


def per_read(timeout: float) -> Any:
    """`timeout` for each read and write; a connection has ten seconds at most."""
    import httpx2

    return httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_S))


@functools.cache
def _trusted_certificates() -> ssl.SSLContext:
    # Loading them takes 25 ms: once per process, not once per client.
    import httpx2

    return httpx2.create_ssl_context()
