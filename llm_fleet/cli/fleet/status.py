"""`llm-fleet status`: what the whole fleet does now, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from ...errors import CoordinationError
from ..render import open_console, print_json
from .reading import read_status
from .source import ConfigOption, NamespaceOption, PoolOption, RedisOption, Source, Where, find_source
from .view import status_view

__all__ = ["status"]

DEGRADED = 1

Status: TypeAlias = dict[str, Any]


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


async def _once(source: Source, *, as_json: bool) -> Status:
    async with source.open() as store:
        found = await read_status(store, source)
    if as_json:
        print_json(found)
    else:
        console = open_console()
        console.print(_view(found, console.width))
    return found


async def _watch(source: Source, interval_s: float, *, as_json: bool) -> None:
    """Show it again and again. Redis has to be there at the start; later it is waited for."""
    async with source.open() as store:
        found = await read_status(store, source)
        source = replace(source, pools=tuple(found["pools"]))  # to search for them once is enough
        with _screen(as_json=as_json) as show:
            while True:
                show(found)
                await asyncio.sleep(interval_s)
                try:
                    found = await read_status(store, source)
                except CoordinationError as error:
                    found = {"status": "unreachable", "reasons": [str(error)]}


@contextmanager
def _screen(*, as_json: bool) -> Iterator[Callable[[Status], None]]:
    """Where `--watch` shows a status: a screen that is redrawn, or one after the other."""
    console = open_console()
    if as_json:
        yield lambda found: print_json(found, indent=None)
    elif console.is_terminal:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield lambda found: live.update(_view(found, console.width), refresh=True)
    else:
        yield lambda found: console.print(_view(found, console.width))


def _view(found: Status, width: int) -> RenderableType:
    if "pools" in found:
        return status_view(found, width=width)
    return Text(f"{found['reasons'][0]}\n\nTrying again; Ctrl-C ends.", "red")
