"""Reads what `status` shows: the server, and the pools as they are at one moment."""

from __future__ import annotations

import time
from typing import Any

from ...engine.snapshot import read_fleet
from ...errors import CoordinationError
from ...store import Store
from .health import pool_reasons, server_reasons
from .source import Source
from .words import waiting_line

__all__ = ["read_server", "read_status"]

PINGS = 3


async def read_status(store: Store, source: Source) -> dict[str, Any]:
    """Server, pools, one line per queue that waits, and the reasons why the fleet is degraded.

    Raises:
        CoordinationError: Redis does not answer.
    """
    server = await read_server(store)
    pools = await read_fleet(store, await source.pool_keys(store))
    known = {name: pool for name, pool in pools.items() if pool}
    for pool in known.values():
        pool["queues"].sort(key=lambda queue: (queue["lane"], queue["keyset"]))
        pool["waits_for"] = [waiting_line(queue, pool) for queue in pool["queues"] if queue["waiting"]]
    reasons = server_reasons(server)
    for name, pool in known.items():
        reasons += [f"{name}: {reason}" for reason in pool_reasons(pool)]
    status = "degraded" if reasons else "ok"
    return {
        "status": status,
        "reasons": reasons,
        "server": server,
        "namespace": source.namespace,
        "pools": pools,
    }


async def read_server(store: Store) -> dict[str, Any]:
    """Round trip, clock and version; the latter where this user may ask for them."""
    trips = []
    for _ in range(PINGS):
        started = time.perf_counter()
        await store.call("PING")
        trips.append(time.perf_counter() - started)
    seconds, micros = await store.call("TIME")
    ahead_s = int(seconds) + int(micros) / 1e6 - time.time() + min(trips) / 2
    info = await _read_info(store)
    return {
        "description": store.description,
        "software": "valkey" if "valkey_version" in info else "redis",
        "version": info.get("valkey_version") or info.get("redis_version"),
        "latency_ms": round(min(trips) * 1000, 3),
        "clock_ahead_s": round(ahead_s, 3),
        "used_memory": int(info.get("used_memory", 0)),
        "maxmemory": int(info.get("maxmemory", 0)),
        "maxmemory_policy": info.get("maxmemory_policy"),
    }


async def _read_info(store: Store) -> dict[str, str]:
    try:
        texts = [await store.call("INFO", section) for section in ("server", "memory")]
    except CoordinationError:
        return {}  # a user who may not ask; whether the server is there, PING has shown
    lines = (line.partition(":") for text in texts for line in text.splitlines() if ":" in line)
    return {name: value for name, _, value in lines}
