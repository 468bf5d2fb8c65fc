"""LLMManager: builds everything from the config; knows every room below it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import Any

from .chain import Handler, Middleware, compose
from .client import Estimates, InputCounter, Leases, LLMClient, endpoint
from .config import FleetConfig, ProviderConfig, RateLimitConfig, load_config
from .embedded import SharedServer
from .engine.domains import fleet_limits, pool_limits
from .engine.explain import Explanation
from .engine.fleet import Fleet
from .errors import ConfigError, ManagerClosed
from .middleware.logging import Logging
from .middleware.metrics import Metrics
from .middleware.rate_limiter import RateLimit
from .middleware.retry import Retry
from .models import LLMProvider
from .pool import ClientPool
from .providers import adapter_for
from .store import StoreOptions
from .telemetry import Recorder, open_telemetry_hook

__all__ = ["LLMManager", "get_llm_manager", "opened_manager"]

log = logging.getLogger(__name__)

NO_REDIS = (
    "no Redis is configured: set REDIS_URL, write redis.url into the config,"
    " or write `redis: {url: embedded}` for a private server on this machine"
)


class _Entry:
    """One provider entry at work: its client pool, its estimates, its chain."""

    def __init__(self, manager: LLMManager, provider: ProviderConfig) -> None:
        self._manager = manager
        self.provider = provider
        adapter = adapter_for(provider.kind)
        keys = {key.key_id: key.key for key in provider.api_keys}
        options = manager.config.pool
        self.clients = ClientPool(
            adapter, keys, options, base_url=provider.base_url, timeout=provider.settings.timeout
        )
        self._endpoint = endpoint(adapter, self.clients, trace_headers=provider.trace_headers)
        self.estimates = Estimates(provider)
        self.counter = InputCounter(adapter, self.clients, self.estimates, provider.settings.count)
        leases = Leases(lambda: manager.fleet.pool(provider.name), keys, self.estimates.counted)
        self.client = LLMClient(provider, self.chain, self.counter, leases)
        self._handler: Handler | None = None

    async def chain(self) -> Handler:
        """The chain as it now is, with the SDK loaded: what is granted can be sent at once.

        Raises:
            ManagerClosed: after the manager's `close`.
        """
        if self._manager.is_closed:
            raise ManagerClosed("this client's manager is closed; get a new one with get_llm_manager()")
        await self.clients.load()
        if self._handler is None:
            self._handler = compose(self._middleware(), self._endpoint)
        return self._handler

    def rebuild(self) -> None:
        self._handler = None

    def _middleware(self) -> list[Middleware]:
        manager, switches = self._manager, self._manager.config.global_
        layers: list[Middleware] = [*manager.middleware]
        if switches.enable_logging:
            layers.append(Logging(log_bodies=switches.log_bodies))
        if switches.metrics_enabled:
            layers.append(Metrics(manager.recorder))
        layers.append(Retry(self.provider.settings.max_retries))
        pool = manager.fleet.pool(self.provider.name)
        layers.append(RateLimit(pool, self.counter.need, self.estimates.settlement))
        return layers


class LLMManager:
    """One per process, shared by its event loops and threads; opens nothing before the first call.

    Raises:
        ConfigError: the config cannot work, or names no Redis.
    """

    def __init__(self, config: FleetConfig) -> None:
        self.config = config
        hook = open_telemetry_hook()
        self.recorder = Recorder([hook] if hook else [])
        self.middleware: list[Middleware] = []
        self.is_closed = False
        self._server: SharedServer | None = None
        options = StoreOptions(
            self._redis_url(),
            connect_timeout_s=config.redis.connect_timeout,
            command_timeout_s=config.redis.command_timeout,
        )
        self.fleet = Fleet(
            options,
            config.redis.namespace,
            fleet_limits(config),
            ttl_s=config.redis.lease_ttl_seconds,
            on_redis_down=config.redis.on_redis_down,
        )
        self._entries = {name: _Entry(self, provider) for name, provider in config.providers.items()}
        logging.getLogger("llm_fleet").setLevel(config.global_.log_level)
        for warning in config.warnings():
            log.warning("llm_fleet.config.warned: %s", warning)

    def _redis_url(self) -> str:
        url = self.config.redis.url
        if url is None:
            raise ConfigError(NO_REDIS)
        if url.get_secret_value() != "embedded":
            return url.get_secret_value()
        self._server = SharedServer.open(self.config.redis.namespace)
        log.info("llm_fleet.redis.chosen: %s", self._server.description)
        return self._server.url

    def get_client(self, provider: LLMProvider | str | None = None) -> LLMClient:
        """The client of a provider entry; without a name the config's `default_provider`.

        Raises:
            ConfigError: there is no such entry.
            ManagerClosed: after `close`.
        """
        return self._entry(provider).client

    async def get_or_create_client(
        self, provider: LLMProvider | str | None = None, *, rate_limit_config: RateLimitConfig | None = None
    ) -> LLMClient:
        """The client of a provider entry, with other limits if given.

        The limits replace the file's for this provider in the whole fleet, on every account.
        """
        entry = self._entry(provider)
        if rate_limit_config is not None:
            changed = entry.provider.with_limits([rate_limit_config], source="code")
            limits = pool_limits(changed, self.config.config_version, source="code", force=True)
            await self.fleet.change_limits(limits)
            log.info("llm_fleet.limits.replaced: provider %s by limits from code", entry.provider.name)
        return entry.client

    def _entry(self, provider: LLMProvider | str | None) -> _Entry:
        if self.is_closed:
            raise ManagerClosed("the manager is closed; get a new one with get_llm_manager()")
        name = str(provider) if provider is not None else self.config.default_provider
        entry = self._entries.get(name or "")
        if entry is None:
            known = ", ".join(sorted(self._entries)) or "none"
            raise ConfigError(f"unknown provider {name!r}: the config has {known}; add it under `providers`")
        return entry

    def add_middleware(self, middleware: Middleware) -> None:
        """Put `async def mw(call, call_next) -> Response` outermost, on every client."""
        self.middleware.append(middleware)
        for entry in self._entries.values():
            entry.rebuild()

    def get_status(self, provider: LLMProvider | str | None = None) -> dict[str, Any]:
        """This process's SDK clients: total, available and in use, and each by its key id."""
        status: dict[str, Any] = self._entry(provider).clients.status()
        return status

    def metrics(self) -> dict[str, Any]:
        """This process's calls, errors, retries, tokens and percentiles, per provider and model."""
        return self.recorder.snapshot()

    async def fleet_status(self) -> dict[str, Any]:
        """The whole fleet, from Redis.

        Raises:
            CoordinationError: Redis does not answer.
        """
        return await self.fleet.status()

    async def explain(self, ticket: str) -> Explanation:
        """What a ticket of the fleet waits for and when it is expected to go, what it holds, how it ended.

        `why` says it in a sentence; an id that no pool knows has the state `unknown`. A call's id is
        `response.ticket`, `error.ticket`, and a field of its log lines.

        Raises:
            ConfigError: that is no id of a ticket.
            CoordinationError: Redis does not answer.
        """
        return await self.fleet.explain(ticket)

    def health(self) -> dict[str, Any]:
        """For probes: `live` (never depends on Redis), `ready`, and `reasons` where not all is well.

        A process that goes on without Redis (`redis.on_redis_down`) is ready, and its reasons say so.
        Waits for nothing. The first one begins to connect, so that a process that has not called
        yet becomes ready too; what Redis does is known within a third of `redis.lease_ttl_seconds`.
        """
        if self.is_closed:
            return {"live": True, "ready": False, "reasons": ["the manager is closed"]}
        self.fleet.connect()
        faults = self.fleet.faults()
        reasons = {**faults, **self.fleet.absences()}
        return {
            "live": True,
            "ready": not faults,
            "reasons": [f"provider {name}: {reason}" for name, reason in reasons.items()],
        }

    async def close(self) -> None:
        """End waits, settle what is known, close every connection. Twice is once."""
        if self.is_closed:
            return
        self.is_closed = True
        for entry in self._entries.values():
            await entry.clients.close()
        await self.fleet.close()
        if self._server is not None:
            self._server.close()


_lock = threading.Lock()
_managers: dict[int, LLMManager] = {}


async def get_llm_manager() -> LLMManager:
    """The manager of this process, from LLM_CONFIG_PATH or config/llm.yaml; after `close` a new one.

    Raises:
        ConfigError: the config cannot work.
    """
    manager = _managers.get(os.getpid())
    if manager is None or manager.is_closed:
        manager = await asyncio.to_thread(_open_manager)
    return manager


def _open_manager() -> LLMManager:
    with _lock:
        manager = _managers.get(os.getpid())
        if manager is None or manager.is_closed:
            manager = _managers[os.getpid()] = LLMManager(load_config())
        return manager


def opened_manager() -> LLMManager | None:
    """The manager that `get_llm_manager` gave this process, while it is open."""
    manager = _managers.get(os.getpid())
    return None if manager is None or manager.is_closed else manager


os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))
