"""LLMManager for callers that block; one per process, shared with the async side."""

from __future__ import annotations

import atexit
import os
import weakref
from contextlib import suppress
from typing import Any

from .. import manager as asynchronous
from ..chain import Middleware
from ..config import RateLimitConfig
from ..engine.explain import Explanation
from ..models import LLMProvider
from .client import LLMClient
from .running import finish, run

__all__ = ["LLMManager", "close_all", "get_llm_manager"]

_used: weakref.WeakSet[asynchronous.LLMManager] = weakref.WeakSet()
"""What this very process has called through, be it inherited by a fork."""


def get_llm_manager() -> LLMManager:
    """The manager of this process, from LLM_CONFIG_PATH or config/llm.yaml; after `close` a new one.

    It is the one that `await llm_fleet.get_llm_manager()` gives in this process, so both see each
    other's middleware. Safe in any thread, and to be asked for again after a fork.

    Raises:
        ConfigError: the config cannot work, or gevent or eventlet has patched this process.
    """
    return LLMManager(run(asynchronous.get_llm_manager()))


class LLMManager:
    """`llm_fleet.LLMManager`, blocking; over one of those, or by `get_llm_manager()`."""

    def __init__(self, manager: asynchronous.LLMManager) -> None:
        self._manager = manager
        self.config, self.fleet = manager.config, manager.fleet

    def get_client(self, provider: LLMProvider | str | None = None) -> LLMClient:
        """The client of a provider entry; without a name the config's `default_provider`."""
        return LLMClient(self._manager.get_client(provider), self._use)

    def get_or_create_client(
        self, provider: LLMProvider | str | None = None, *, rate_limit_config: RateLimitConfig | None = None
    ) -> LLMClient:
        """The client of a provider entry; limits that are given replace the file's for the whole fleet."""
        self._use()
        manager = self._manager
        return LLMClient(
            run(manager.get_or_create_client(provider, rate_limit_config=rate_limit_config)), self._use
        )

    def add_middleware(self, middleware: Middleware) -> None:
        """Put `async def mw(call, call_next) -> Response` outermost, on every client."""
        self._manager.add_middleware(middleware)

    def get_status(self, provider: LLMProvider | str | None = None) -> dict[str, Any]:
        """This process's SDK clients: total, available and in use, and each by its key id."""
        return self._manager.get_status(provider)

    def metrics(self) -> dict[str, Any]:
        """This process's calls, errors, retries, tokens and percentiles, per provider and model."""
        return self._manager.metrics()

    def health(self) -> dict[str, Any]:
        """For probes: `live`, `ready`, and the `reasons` why not."""
        self._use()
        return self._manager.health()

    def fleet_status(self) -> dict[str, Any]:
        """The whole fleet, from Redis."""
        self._use()
        return run(self._manager.fleet_status())

    def explain(self, ticket: str) -> Explanation:
        """What a ticket of the fleet waits for and when it is expected to go, what it holds, how it ended."""
        self._use()
        return run(self._manager.explain(ticket))

    def close(self) -> None:
        """End waits, settle what is known, close every connection. Twice is once."""
        run(self._manager.close())

    def _use(self) -> None:
        _used.add(self._manager)


def close_all() -> None:
    """Close the manager of `get_llm_manager()`, and all others that this process has called through here.

    It is done when the interpreter ends; call it where processes end without that. It waits for some
    seconds at most, whatever state Redis is in.
    """
    for manager in {*_used, asynchronous.opened_manager()}:
        if manager is not None and not manager.is_closed:
            finish(manager.close())


def _close_at_exit() -> None:
    with suppress(Exception):  # the interpreter is half gone, and what was taken is given back first
        close_all()


atexit.register(_close_at_exit)
os.register_at_fork(after_in_child=_used.clear)
