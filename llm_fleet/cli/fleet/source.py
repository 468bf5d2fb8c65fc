"""Where to look: which Redis, namespace and pools the options, the config and the environment name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...engine.keys import PoolKeys
from ...engine.snapshot import list_pools
from ...errors import ConfigError
from ...store import Store, StoreOptions

if TYPE_CHECKING:
    from ...config import FleetConfig
    from ...embedded import SharedServer

__all__ = ["ConfigOption", "NamespaceOption", "PoolOption", "RedisOption", "Source", "Where", "find_source"]

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="Else LLM_CONFIG_PATH.")]
RedisOption = Annotated[str | None, typer.Option(help="A Redis url, in place of the config and its pools.")]
NamespaceOption = Annotated[str | None, typer.Option(help="The namespace, in place of the config's.")]
PoolOption = Annotated[list[str] | None, typer.Option(help="Only this pool; may be repeated.")]

DEFAULT_NAMESPACE = "llm_fleet"
DEFAULT_CONFIG = "config/llm.yaml"
NOWHERE = (
    f"no Redis to look at: there is no {DEFAULT_CONFIG} here; name a config (--config or LLM_CONFIG_PATH),"
    " or the server itself (--redis or REDIS_URL)"
)


@dataclass(frozen=True, slots=True)
class Where:
    """What the command line says; None and () where it says nothing."""

    config: Path | None = None
    redis: str | None = None
    namespace: str | None = None
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A Redis, a namespace, and its pools; no pools: those that are found there.

    `config` is what named them, None where the command line or REDIS_URL did.
    """

    options: StoreOptions
    namespace: str
    pools: tuple[str, ...] = ()
    server: SharedServer | None = None
    config: FleetConfig | None = field(default=None, repr=False)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        """A store for this event loop. Opens no connection before it is asked."""
        store = Store(self.options)
        try:
            yield store
        finally:
            await store.close()
            if self.server is not None:
                self.server.close()

    async def pool_keys(self, store: Store) -> list[PoolKeys]:
        """The pools to look at.

        Raises:
            ConfigError: they would have to be searched for in a cluster.
        """
        if not self.pools and "+cluster" in self.options.url.partition("://")[0]:
            raise ConfigError("a cluster cannot be searched for pools: use --pool, or give a --config")
        names = self.pools or await list_pools(store, self.namespace)
        return [PoolKeys(self.namespace, name) for name in names]


def find_source(where: Where) -> Source:
    """The command line first, then the config, then REDIS_URL.

    Raises:
        ConfigError: the config cannot work, or nothing names a Redis.
        typer.BadParameter: a pool that the config does not have.
    """
    url = where.redis or _url_without_config(where)
    if url is not None:
        return Source(StoreOptions(url), where.namespace or DEFAULT_NAMESPACE, where.pools)
    return _from_config(where)


def _url_without_config(where: Where) -> str | None:
    if where.config or os.environ.get("LLM_CONFIG_PATH") or Path(DEFAULT_CONFIG).exists():
        return None
    url = os.environ.get("REDIS_URL")
    if not url:
        raise ConfigError(NOWHERE)
    return url


def _from_config(where: Where) -> Source:
    from ...config import load_config  # pydantic: not worth its time where no config is read

    config = load_config(where.config)
    if strange := [name for name in where.pools if name not in config.providers]:
        known = ", ".join(config.providers)
        raise typer.BadParameter(f"--pool: no provider {strange[0]!r} in the config; it has {known}")
    redis = config.redis
    if redis.url is None:
        raise ConfigError("no Redis to look at: write redis.url into the config, or set REDIS_URL")
    url, server = redis.url.get_secret_value(), None
    if url == "embedded":
        server = _embedded(redis.namespace)
        url = server.url
    options = StoreOptions(
        url, connect_timeout_s=redis.connect_timeout, command_timeout_s=redis.command_timeout
    )
    pools = where.pools or tuple(config.providers)
    return Source(options, where.namespace or redis.namespace, pools, server, config)


def _embedded(name: str) -> SharedServer:
    from ...embedded import SharedServer

    return SharedServer.open(name)
