"""`llm-fleet status`: what the whole fleet does now, and what it waits for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ...errors import CoordinationError
from ...store import Store
from ..render import open_console, print_json
from .reading import read_status
from .source import ConfigOption, NamespaceOption, PoolOption, RedisOption, Source, Where, find_source
from .view import status_view

__all__ = ["status"]

DEGRADED = 1


def status(
    config: ConfigOption = None,
    redis: RedisOption = None,
    namespace: NamespaceOption = None,
    pool: PoolOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two refreshes.")] = 1.0,
    json: Annotated[bool, typer.Option("--json", help="JSON; with --watch one object per line.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where the fleet is degraded.")] = False,
) -> None:
    """Show the fleet: server, keys and their limits, processes, and what the oldest tickets wait for.

    Only looks: it never joins the fleet. Without a config it finds the pools of the namespace itself.
    """
    source = find_source(Where(config, redis, namespace, tuple(pool or ())))
    if not watch:
        found = asyncio.run(_once(source, as_json=json))
        raise typer.Exit(DEGRADED if check and found["reasons"] else 0)
    try:
        asyncio.run(_watch(source, interval, as_json=json))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _once(source: Source, *, as_json: bool) -> dict[str, Any]:
    async with source.open() as store:
        found = await read_status(store, source)
    if as_json:
        print_json(found)
    else:
        console = open_console()
        console.print(status_view(found, width=console.width))
    return found


async def _watch(source: Source, interval_s: float, *, as_json: bool) -> None:
    """Show it again and again. Redis has to be there at the start; later it is waited for."""
    console = open_console()
    async with source.open() as store:
        found = await read_status(store, source)
        if as_json or not console.is_terminal:
            await _print_on(console, store, source, interval_s, as_json=as_json)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(status_view(found, width=console.width), refresh=True)
                await asyncio.sleep(interval_s)
                try:
                    found = await read_status(store, source)
                except CoordinationError as error:
                    live.update(Text(f"{error}\n\nTrying again every {interval_s:g} s; Ctrl-C ends.", "red"), refresh=True)


async def _print_on(console: Console, store: Store, source: Source, interval_s: float, *, as_json: bool) -> None:
    while True:
        try:
            found = await read_status(store, source)
        except CoordinationError as error:
            found = {"status": "unreachable", "reasons": [str(error)]}
        if as_json:
            print_json(found, indent=None)
        else:
            console.print(status_view(found, width=console.width) if "pools" in found else found["reasons"][0])
        await asyncio.sleep(interval_s)
