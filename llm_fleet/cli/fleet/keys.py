"""`llm-fleet keys`: which API keys the fleet knows, and taking them out of service. By key id only."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from ...engine.keys import PoolKeys
from ...engine.snapshot import read_fleet
from ...engine.switch import pause_key, resume_key
from ...store import Store
from ..render import open_console, plain_table, print_json, some_of
from .health import outage
from .source import ConfigOption, NamespaceOption, PoolOption, RedisOption, Source, Where, find_source

__all__ = ["app", "list_keys", "pause", "resume"]

app = typer.Typer(help="API keys by their ids: list, take out of service, put back.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="A key id, or how it begins.")]
Pools = dict[str, Any]


@app.command("list")
def list_keys(
    config: ConfigOption = None,
    redis: RedisOption = None,
    namespace: NamespaceOption = None,
    pool: PoolOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """List the keys that any process has registered."""
    source = find_source(Where(config, redis, namespace, tuple(pool or ())))
    rows = asyncio.run(_with_pools(source, _rows))
    if json:
        print_json(rows)
        return
    table = plain_table("key", "pool", "account", "state")
    for row in rows:
        table.add_row(row["key"], row["pool"], ", ".join(row["domains"]), row["state"])
    open_console().print(table if rows else f"no key is known in namespace {source.namespace}")


@app.command()
def pause(
    key: KeyArgument,
    reason: Annotated[str, typer.Option(help="Why, for the status.")] = "paused by hand",
    seconds: Annotated[float | None, typer.Option("--for", min=0.001, help="Seconds.")] = None,
    config: ConfigOption = None,
    redis: RedisOption = None,
    namespace: NamespaceOption = None,
    pool: PoolOption = None,
) -> None:
    """Take a key out of service for the whole fleet. What is in flight on it goes on."""

    async def switch(store: Store, keys: PoolKeys, key_id: str) -> None:
        await pause_key(store, keys, key_id, reason, seconds)

    where = Where(config, redis, namespace, tuple(pool or ()))
    name, key_id = asyncio.run(_switch(find_source(where), key, switch))
    until = f"for {seconds:g} s" if seconds else f"until `llm-fleet keys resume {key_id}`"
    print(f"key {key_id} of pool {name} is out of service {until}")


@app.command()
def resume(
    key: KeyArgument,
    config: ConfigOption = None,
    redis: RedisOption = None,
    namespace: NamespaceOption = None,
    pool: PoolOption = None,
) -> None:
    """Put a key back into service for the whole fleet."""
    where = Where(config, redis, namespace, tuple(pool or ()))
    name, key_id = asyncio.run(_switch(find_source(where), key, resume_key))
    print(f"key {key_id} of pool {name} is in service")


async def _with_pools(source: Source, use: Callable[[Pools], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    async with source.open() as store:
        return use(await read_fleet(store, await source.pool_keys(store)))


def _rows(pools: Pools) -> list[dict[str, Any]]:
    return [
        {"key": key_id, "pool": name, "domains": key["domains"], "state": outage(key) or "in service"}
        for name, pool in pools.items()
        if pool
        for key_id, key in sorted(pool["keys"].items())
    ]


async def _switch(
    source: Source, wanted: str, switch: Callable[[Store, PoolKeys, str], Awaitable[None]]
) -> tuple[str, str]:
    """Pool and id of the one key that was meant, after switching it."""
    if not re.fullmatch(r"[0-9a-f]{2,12}", wanted):
        raise typer.BadParameter(
            "a key id begins with hex digits, 12 at most; `llm-fleet keys list` shows them"
        )
    async with source.open() as store:
        rows = _rows(await read_fleet(store, await source.pool_keys(store)))
        meant = [(row["pool"], row["key"]) for row in rows if row["key"].startswith(wanted)]
        if len(meant) != 1:
            known = some_of(sorted({row["key"] for row in rows}), 8) or "none"
            many = "no keys" if not meant else f"{len(meant)} keys"
            fault = f"{many} of namespace {source.namespace} begin with {wanted}"
            raise typer.BadParameter(f"{fault}; known: {known}")
        name, key_id = meant[0]
        await switch(store, PoolKeys(source.namespace, name), key_id)
        return name, key_id
