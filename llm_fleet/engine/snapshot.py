"""The whole fleet as Redis sees it: for `status`, for people at 3 a.m. Reads, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..store import Store
from .keys import PoolKeys
from .scripts import load_script
from .values import resource_name

__all__ = ["list_pools", "read_fleet", "read_pool"]

SCAN_COUNT = 1000


async def read_pool(store: Store, keys: PoolKeys) -> dict[str, Any] | None:
    """One pool, resources by their names; None where no process has registered yet."""
    text = await store.script(load_script("pool_snapshot"), keys.all(), [])
    return _named(json.loads(text)) if text else None


async def read_fleet(store: Store, pools: Iterable[PoolKeys]) -> dict[str, Any]:
    """The pools by name, as `read_pool` gives them."""
    return {keys.pool: await read_pool(store, keys) for keys in pools}


async def list_pools(store: Store, namespace: str) -> list[str]:
    """The pools that a namespace has in Redis, sorted.

    Walks all keys of the server (SCAN); of a cluster only those of one node.
    """
    pattern = PoolKeys("".join(f"[{char}]" if char in "*?[" else char for char in namespace), "*").all()[0]
    before, _, after = PoolKeys(namespace, "*").all()[0].rpartition("*")
    found: set[str] = set()
    cursor = "0"
    while True:
        cursor, names = await store.call("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
        found.update(name.removeprefix(before).removesuffix(after) for name in names)
        if str(cursor) == "0":
            return sorted(found)


def _named(pool: dict[str, Any]) -> dict[str, Any]:
    """Codes become names, and the empty tables that Lua cannot tell from mappings become lists."""
    pool["queues"] = pool["queues"] or []
    for queue in pool["queues"]:
        if head := queue.get("head"):
            head["resource"] = resource_name(head.get("resource") or "", head.get("tick_ms") or 1)
    for domain in pool["domains"].values():
        domain["lanes"] = {lane: buckets or [] for lane, buckets in domain["lanes"].items()}
        for buckets in domain["lanes"].values():
            for bucket in buckets:
                bucket["resource"] = resource_name(bucket["resource"], bucket["tick_ms"])
    return pool
