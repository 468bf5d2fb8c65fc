"""`llm-fleet status`: what the whole fleet does now, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from ...errors import CoordinationError
from ..render import open_console, print_json
from .reading import read_status
from .source import ConfigOption, NamespaceOption, PoolOption, RedisOption, Source, Where, find_source
from .urgency import FEW
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
    all_rows: Annotated[bool, typer.Option("--all", help="Every key and process, however many.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON; with --watch one object per line.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where the fleet is degraded.")] = False,
) -> None:
    """Show the fleet: server, keys and their limits, processes, and what the oldest tickets wait for.

    Only looks: it never joins the fleet. Without a config it finds the pools of the namespace itself.
    """
    source = find_source(Where(config, redis, namespace, tuple(pool or ())))
    look = Look(as_json=json, all_rows=all_rows)
    if not watch:
        found = asyncio.run(_once(source, look))
        raise typer.Exit(DEGRADED if check and found["reasons"] else 0)
    try:
        asyncio.run(_watch(source, interval, look))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@dataclass(frozen=True, slots=True)
class Look:
    """How a status is shown. All rows also where it goes to a file or a pipe."""

    as_json: bool
    all_rows: bool

    def view(self, found: Status, console: Console) -> RenderableType:
        """For people; also of a server that does not answer."""
        if "pools" in found:
            most = FEW if console.is_terminal and not self.all_rows else None
            return status_view(found, width=console.width, most=most)
        return Text(f"{found['reasons'][0]}\n\nTrying again; Ctrl-C ends.", "red")

    @contextmanager
    def screen(self) -> Iterator[Callable[[Status], None]]:
        """Where `--watch` shows a status: a screen that is redrawn, or one after the other."""
        console = open_console()
        if self.as_json:
            yield lambda found: print_json(found, indent=None)
        elif console.is_terminal:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                yield lambda found: live.update(self.view(found, console), refresh=True)
        else:
            yield lambda found: console.print(self.view(found, console))


async def _once(source: Source, look: Look) -> Status:
    async with source.open() as store:
        found = await read_status(store, source)
    if look.as_json:
        print_json(found)
    else:
        console = open_console()
        console.print(look.view(found, console))
    return found


async def _watch(source: Source, interval_s: float, look: Look) -> None:
    """Show it again and again. Redis has to be there at the start; later it is waited for."""
    async with source.open() as store:
        found = await read_status(store, source)
        source = replace(source, pools=tuple(found["pools"]))  # to search for them once is enough
        with look.screen() as show:
            while True:
                show(found)
                await asyncio.sleep(interval_s)
                try:
                    found = await read_status(store, source)
                except CoordinationError as error:
                    found = {"status": "unreachable", "reasons": [str(error)]}
