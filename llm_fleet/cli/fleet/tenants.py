"""How `status` shows who waits: bands and tenants. Pure: a snapshot in, a line and a table out.

A snapshot tells the first flows of each band; of a crowd of tenants the others are not counted one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ...engine.values import TENANT_DOMAIN
from ...models import BANDS
from ..render import count_of, duration, plain_table, short_amount
from .limits import limit_title

__all__ = ["bands_line", "tenants_section"]

Snapshot = Mapping[str, Any]

UNLISTED = 1000
"""The weight of a tenant that no config lists, in thousandths."""


def bands_line(pool: Snapshot) -> str:
    """`25 interactive, 30 normal, 31 batch`; empty where all wait in one band."""
    counts: Counter[str] = Counter()
    for queue in pool["queues"]:
        counts.update(queue.get("bands") or {})
    parts = [f"{counts[band]:,} {band}" for band in BANDS if counts[band]]
    return ", ".join(parts) if len(parts) > 1 else ""


def tenants_section(pool: Snapshot, most: int | None, *, is_narrow: bool) -> Iterator[Table | Text]:
    """A line per tenant, the longest wait first; nothing where there is but one, without limits."""
    weights, flows, limited = pool.get("weights") or {}, list(_flows(pool)), _limited(pool)
    names = {*weights, *(flow["tenant"] for flow in flows), *limited}
    if not weights and not limited and len(names) < 2:
        return
    times = () if is_narrow else ("longest",)
    table = plain_table("tenant", "weight", "waiting", *times, "limits", "state", right=["weight", "waiting"])
    for column in (table.columns[0], table.columns[-2]):
        column.no_wrap, column.overflow = False, "fold"
    for name in sorted(names, key=lambda name: _rank(name, flows))[:most]:
        mine = [flow for flow in flows if flow["tenant"] == name]
        is_parked = any(flow["is_parked"] for flow in mine)
        table.add_row(
            name,
            f"{weights.get(name, UNLISTED) / 1000:g}",
            f"{sum(flow['waiting'] for flow in mine):,}",
            *(duration(_longest_ms(mine) / 1000) if mine else "" for _ in times),
            ", ".join(_levels(pool["domains"].get(TENANT_DOMAIN + name))),
            Text("at its limit", "yellow") if is_parked else Text("ok", "green"),
        )
    yield table
    if (left := pool["waiting"] - sum(flow["waiting"] for flow in flows)) > 0:
        yield Text(f"and {left:,} waiting of tenants whose turn comes later", "dim")
    if most is not None and len(names) > most:
        yield Text(f"and {count_of(len(names) - most, 'tenant')} more; --all shows them", "dim")
    yield Text("")


def _flows(pool: Snapshot) -> Iterator[Snapshot]:
    for queue in pool["queues"]:
        yield from queue.get("flows") or []


def _limited(pool: Snapshot) -> set[str]:
    return {name.removeprefix(TENANT_DOMAIN) for name in pool["domains"] if name.startswith(TENANT_DOMAIN)}


def _longest_ms(flows: Sequence[Snapshot]) -> float:
    return max((flow.get("waited_ms") or 0 for flow in flows), default=-1)


def _rank(name: str, flows: Sequence[Snapshot]) -> tuple[float, str]:
    return -_longest_ms([flow for flow in flows if flow["tenant"] == name]), name


def _levels(domain: Snapshot | None) -> Iterator[str]:
    """`requests/min 1/3`, and slots."""
    if domain is None:
        return
    for bucket in domain["lanes"].get("*", []):
        level = f"{short_amount(bucket['level'])}/{short_amount(bucket['capacity'])}"
        yield f"{limit_title(bucket['resource'])} {level}"
    if domain["concurrency"]:
        yield f"in flight {domain['in_flight']}/{domain['concurrency']}"
