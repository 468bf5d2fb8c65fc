"""What a config comes to, key by key; for people, and as JSON. Opens nothing, shows no secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
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

INDENT = 2
Line: TypeAlias = tuple[tuple[str, ...], tuple[str, str, str]]
"""A line of a table: what the limit belongs to; limit, burst and source."""


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
            console.print(_key_block(list(key_rows), console.width))
        if provider.every_tenant():
            console.print(_tenant_block(provider, console.width))
        console.print()
    console.print(Text.assemble(("redis ", "bold"), redis))
    if warnings := loaded.warnings():
        console.print(Text("warnings", "bold yellow"), sentences(warnings, style="yellow"))
    console.print(Text("ok: this config works", "green"))


def _key_block(rows: list[EffectiveRow], width: int) -> Group:
    """One key, and under it the limits that it meets."""
    lines = [((row.lane,), _limit_cells(row.provider, row.limit)) for row in rows]
    account = f"account {rows[0].account}" if rows[0].account else "no account: a domain of its own"
    title = Text.assemble((f"  {rows[0].key_id}", "bold"), f"  {account}")
    return Group(title, _limits_table(("lane",), lines, width))


def _tenant_block(provider: ProviderConfig, width: int) -> Group:
    """The tenants of a provider: weight and limits of each."""
    lines: list[Line] = []
    for tenant in resolve_tenants(provider):
        names = (tenant.name, f"{tenant.weight:g}")
        for cells in [_limit_cells("", limit) for limit in _limits_of(tenant)] or [
            ("none", "", tenant.source)
        ]:
            lines.append((names, cells))
            names = ("", "")
    return Group(Text("  tenants", "bold"), _limits_table(("tenant", "weight"), lines, width))


def _limits_table(names: Sequence[str], lines: Sequence[Line], width: int) -> Padding:
    """A line per limit; as a list, under its sources, where the terminal is too narrow for a table."""
    titles = (*names, "limit", "burst", "source")
    rows = [titles, *((*heads, *cells) for heads, cells in lines)]
    needed = sum(INDENT + max(map(len, column)) for column in zip(*rows, strict=True))
    if needed + INDENT > width:
        return Padding(_limits_list(names, lines), (0, 0, 0, 2 * INDENT), expand=False)
    table = plain_table(*titles, right=["weight"])
    for heads, cells in lines:
        table.add_row(*heads, *cells)
    return Padding(table, (0, 0, 0, 2 * INDENT), expand=False)


def _limits_list(names: Sequence[str], lines: Sequence[Line]) -> Table:
    found = Table.grid()
    found.add_column(overflow="fold")
    for source, same in groupby(lines, key=lambda line: line[1][2]):
        if source:
            found.add_row(Text(source, "dim"))
        for heads, (limit, burst, _) in same:
            titled = (f"{name} {head} " for name, head in zip(names, heads, strict=True) if head)
            text = f"{''.join(titled)}{limit}{f', burst {burst}' if burst else ''}"
            found.add_row(Padding(Text(text), (0, 0, 0, INDENT)))
    return found


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
