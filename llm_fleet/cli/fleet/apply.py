"""`llm-fleet config apply`: the limits of a file come into force for the whole fleet, at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...engine.force import force_limits
from ...engine.keys import PoolKeys
from ...engine.snapshot import read_pool
from ..render import open_console, print_json, some_of
from .health import pool_troubles
from .source import DEFAULT_CONFIG, Source, Where, find_source

if TYPE_CHECKING:
    from ...config import FleetConfig

__all__ = ["apply"]


def apply(
    path: Annotated[Path | None, typer.Argument(help="Else LLM_CONFIG_PATH or config/llm.yaml.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The same.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Bring a config's limits into force for the whole fleet, over whatever was before.

    Running processes go by them from their next call on; levels carry over in proportion. It starts
    no process of the fleet. A process that starts later with another file does not roll them back,
    unless that file is newer: a config_version above this one's, or limits never seen before.
    """
    source = find_source(Where(config=path or config or _default()))
    loaded = source.config
    assert loaded is not None
    for name in (wanted := provider or list(loaded.providers)):
        if name not in loaded.providers:
            known = ", ".join(loaded.providers)
            raise typer.BadParameter(f"no provider {name!r} in the config; it has {known}")
    applied = asyncio.run(_apply(source, loaded, wanted))
    if json:
        print_json(applied)
    else:
        _print(applied)


def _default() -> Path | None:
    """The config's usual place, also where REDIS_URL would do for other commands."""
    return None if os.environ.get("LLM_CONFIG_PATH") else Path(DEFAULT_CONFIG)


async def _apply(source: Source, loaded: FleetConfig, names: list[str]) -> dict[str, Any]:
    from ...engine.domains import pool_limits

    applied = {}
    async with source.open() as store:
        for name in names:
            limits = pool_limits(loaded.providers[name], loaded.config_version)
            keys = PoolKeys(source.namespace, name)
            before = await read_pool(store, keys)
            outcome = await force_limits(store, keys, limits, ttl_s=loaded.redis.lease_ttl_seconds)
            after = await read_pool(store, keys) or {}
            applied[name] = {
                "domains": dict(outcome),
                "order": "same" if before is None or _order(before) == _order(after) else "applied",
                "drift": _drift(after),
            }
    return applied


def _order(pool: Mapping[str, Any]) -> tuple[Any, Any]:
    """The weights of the tenants, and the aging time."""
    return pool["weights"], pool["aging_ms"]


def _drift(pool: Mapping[str, Any]) -> list[str]:
    return [each.text for each in pool_troubles(pool) if each.text.startswith("config drift")]


def _print(applied: dict[str, Any]) -> None:
    console = open_console()
    for name, done in applied.items():
        console.print(f"{name}: {_told(done)}")
        for text in done["drift"]:
            console.print(f"  {text}; they go by the limits in force all the same")


def _told(done: Mapping[str, Any]) -> str:
    """What has changed, then what was so before."""
    changed = [domain for domain, outcome in done["domains"].items() if outcome == "applied"]
    same = [domain for domain in done["domains"] if domain not in changed]
    parts = [f"applied to {some_of(changed)}"] if changed else []
    if done["order"] == "applied":
        parts.append("weights and aging time applied")
    if same and not parts:
        return "in force already"
    if same:
        parts.append(f"in force already for {some_of(same)}")
    return ", ".join(parts)
