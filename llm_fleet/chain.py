"""The one shape of middleware, and how a chain is put together. Knows no policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from .models import Call, Response

__all__ = ["Handler", "Middleware", "compose"]

Handler: TypeAlias = Callable[[Call], Awaitable[Response]]
Middleware: TypeAlias = Callable[[Call, Handler], Awaitable[Response]]


def compose(middleware: Sequence[Middleware], endpoint: Handler) -> Handler:
    """Wrap `endpoint` so that the first middleware given is the outermost."""
    handler = endpoint
    for layer in reversed(middleware):
        handler = _link(layer, handler)
    return handler


def _link(layer: Middleware, call_next: Handler) -> Handler:
    return lambda call: layer(call, call_next)
