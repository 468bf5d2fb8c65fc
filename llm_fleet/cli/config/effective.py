"""What a config comes to, key by key; for people, and as JSON. Opens nothing, shows no secret."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from ...config import (
    ConcurrencyLimit,
    EffectiveRow,
    FleetConfig,
    ProviderConfig,
    ResolvedLimit,
    ResolvedTenant,
    effective_table,
    load_config,
    resolve_tenants,
)
from ...store.target import parse_url
from ..render import amount, duration, open_console, plain_table, print_json, sentences

__all__ = ["print_config"]


def print_config(path: Path | None, *, as_json: bool) -> None:
    """Read the config and print the limits in force, and every doubt.

    Raises:
        ConfigError: it cannot work.
    """
    loaded = load_config(path)
    rows, redis = effective_table(loaded), _redis(loaded)
    if as_json:
        tenants = [tenant for provider in loaded.providers.values() for tenant in _tenants_as_json(provider)]
        found = {"limits": _as_json(rows), "tenants": tenants, "redis": redis}
        print_json({**found, "warnings": loaded.warnings()})
    else:
        _print(loaded, rows, redis)


def _print(loaded: FleetConfig, rows: list[EffectiveRow], redis: str) -> None:
    console = open_console()
    for name, provider in loaded.providers.items():
        facts = f" · {provider.kind} at {provider.base_url or 'its usual address'}"
        default = " · the default" if name == loaded.default_provider else ""
        console.print(Text.assemble(("provider ", "bold"), (name, "bold cyan"), (facts + default, "dim")))
        mine = (row for row in rows if row.provider == name)
        for _, key_rows in groupby(mine, key=lambda row: row.key_id):
            console.print(_key_block(list(key_rows)))
        if provider.every_tenant():
            console.print(_tenant_block(provider))
        console.print()
    console.print(Text.assemble(("redis ", "bold"), redis))
    if warnings := loaded.warnings():
        console.print(Text("warnings", "bold yellow"), sentences(warnings, style="yellow"))
    console.print(Text("ok: this config works", "green"))


def _key_block(rows: list[EffectiveRow]) -> Group:
    """One key, and under it the limits that it meets."""
    table = plain_table("lane", "limit", "burst", "source")
    table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
    table.columns[-1].min_width = len("rate_limits[0]")
    for row in rows:
        table.add_row(row.lane, *_limit_cells(row.provider, row.limit))
    account = f"account {rows[0].account}" if rows[0].account else "no account: a domain of its own"
    return Group(
        Text.assemble((f"  {rows[0].key_id}", "bold"), f"  {account}"),
        Padding(table, (0, 0, 0, 4), expand=False),
    )


def _tenant_block(provider: ProviderConfig) -> Group:
    """The tenants of a provider: weight and limits of each."""
    table = plain_table("tenant", "weight", "limit", "burst", "source", right=["weight"])
    table.columns[-1].no_wrap, table.columns[-1].overflow = False, "fold"
    for tenant in resolve_tenants(provider):
        cells = [_limit_cells("", limit) for limit in _limits_of(tenant)] or [("none", "", tenant.source)]
        for index, row in enumerate(cells):
            first = ("", "") if index else (tenant.name, f"{tenant.weight:g}")
            table.add_row(*first, *row)
    return Group(Text("  tenants", "bold"), Padding(table, (0, 0, 0, 4), expand=False))


def _limit_cells(provider: str, limit: ResolvedLimit | ConcurrencyLimit | None) -> tuple[str, str, str]:
    """Limit, burst and source."""
    if limit is None:
        return "none", "", ""
    source = limit.source.removeprefix(f"providers.{provider}.")
    if not isinstance(limit, ResolvedLimit):
        return f"max_concurrent_requests {amount(limit.amount)}", "", source
    window = f" of {duration(limit.window_s)}" if limit.window_s else ""
    return f"{limit.name} {amount(limit.amount)}", duration(limit.burst_s) + window, source


def _as_json(rows: list[EffectiveRow]) -> list[dict[str, Any]]:
    return [{**asdict(row), "limit": _named(row.limit) if row.limit else None} for row in rows]


def _tenants_as_json(provider: ProviderConfig) -> list[dict[str, Any]]:
    """Every tenant with its limits in a list, slots among them."""
    found = []
    for tenant in resolve_tenants(provider):
        named = [_named(limit) for limit in _limits_of(tenant)]
        for limit in named:
            del limit["domain"]
        about = {"provider": provider.name, "tenant": tenant.name, "weight": tenant.weight}
        found.append({**about, "limits": named, "source": tenant.source})
    return found


def _limits_of(tenant: ResolvedTenant) -> list[ResolvedLimit | ConcurrencyLimit]:
    return [*tenant.limits, *([tenant.concurrency] if tenant.concurrency else [])]


def _named(limit: ResolvedLimit | ConcurrencyLimit) -> dict[str, Any]:
    name = limit.name if isinstance(limit, ResolvedLimit) else "max_concurrent_requests"
    return {"name": name, **asdict(limit)}


def _redis(loaded: FleetConfig) -> str:
    """Where the fleet meets, without user name and password."""
    redis = loaded.redis
    if redis.url is None:
        return "nowhere: write redis.url, or set REDIS_URL"
    url = redis.url.get_secret_value()
    place = "embedded (a private server on this machine)" if url == "embedded" else parse_url(url).description
    return f"{place}, namespace {redis.namespace}"
