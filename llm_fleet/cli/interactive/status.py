"""`status` at the prompt: this process's SDK clients beside what the fleet has left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ...manager import LLMManager
from ..render import Bar, count_of, open_console, plain_table, short_amount

__all__ = ["print_status"]

BAR = 8

Snapshot = Mapping[str, Any]


async def print_status(manager: LLMManager, provider: str) -> None:
    """Counts of this process, then each key with the levels of its limits, as Redis has them.

    Raises:
        CoordinationError: Redis does not answer.
    """
    mine, pool = manager.get_status(provider), (await manager.fleet_status())[provider]
    console = open_console()
    counts = ", ".join(f"{mine[f'{state}_clients']} {state.replace('_', ' ')}" for state in STATES)
    console.print(Text.assemble(("provider ", "bold"), (provider, "bold cyan"), f" · SDK clients: {counts}"))
    if pool:
        counts = f"{pool['leases']:,} in flight, {pool['waiting']:,} waiting"
        console.print(Text(f"fleet · {count_of(len(pool['processes']), 'process')}, {counts}", "dim"))
    console.print(_keys(mine["client_statuses"], pool or {}))


STATES = ("total", "available", "in_use")


def _keys(clients: list[dict[str, Any]], pool: Snapshot) -> Table:
    table = plain_table("key", "state", "errors", "limit", "level", right=["errors"])
    for client in clients:
        key = client["client_id"]
        state = _state(client, pool.get("keys", {}).get(key, {}))
        names = (key, state, str(client["error_count"]))
        for limit, level in _levels(pool, key) or [("", "")]:
            table.add_row(*names, limit, level)
            names = ("", Text(""), "")
    return table


def _state(client: Snapshot, key: Snapshot) -> Text:
    if "reason" in key:
        return Text("out of service", "red")
    return Text("ok", "green") if client["is_available"] else Text("no answer", "red")


def _levels(pool: Snapshot, key: str) -> list[tuple[str, RenderableType]]:
    found: list[tuple[str, RenderableType]] = []
    for name in pool.get("keys", {}).get(key, {}).get("domains", ()):
        domain = pool["domains"].get(name)
        found += _of_domain(domain) if domain else ()
    return found


def _of_domain(domain: Snapshot) -> Iterator[tuple[str, RenderableType]]:
    for lane, buckets in sorted(domain["lanes"].items()):
        for bucket in buckets:
            title = bucket["resource"] if lane == "*" else f"{bucket['resource']} ({lane})"
            level, capacity = max(0, bucket["level"] - bucket["held"]), max(1, bucket["capacity"])
            label = f"{short_amount(level)}/{short_amount(capacity)}"
            yield title, Bar(level / capacity, 0, BAR, label)
    if domain["concurrency"]:
        yield "in flight", f"{domain['in_flight']} / {domain['concurrency']}"
