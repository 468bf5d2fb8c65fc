"""`llm-fleet explain`: what one ticket waits for, and when it is expected to go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from ...engine.explain import Binding, Explanation, find_ticket
from ..render import amount, duration, open_console, print_json, printable, some_of
from .source import ConfigOption, NamespaceOption, PoolOption, RedisOption, Source, Where, find_source

__all__ = ["explain"]

UNKNOWN = 1

STYLES = {"queued": "yellow", "granted": "green", "settled": "green", "unknown": "red"}


def explain(
    ticket: Annotated[str, typer.Argument(help="Its id; `status` shows that of the next of each queue.")],
    config: ConfigOption = None,
    redis: RedisOption = None,
    namespace: NamespaceOption = None,
    pool: PoolOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Say of one ticket what it waits for and when it is expected to go, what it holds, or how it ended.

    Only looks. Exit code 1 where no pool knows the ticket: it was never asked for, or ended some
    minutes ago.
    """
    if not ticket.strip():
        raise typer.BadParameter("a ticket has an id, such as 54e6eee4-37")
    source = find_source(Where(config, redis, namespace, tuple(pool or ())))
    found = asyncio.run(_find(source, ticket))
    if json:
        print_json(asdict(found))
    else:
        console = open_console()
        console.print(_facts(found))
        console.print(Text(printable(found.why)))
        if amounts := _amounts(found.binding):
            console.print(Text(amounts, "dim"))
    raise typer.Exit(UNKNOWN if found.state == "unknown" else 0)


async def _find(source: Source, ticket: str) -> Explanation:
    async with source.open() as store:
        return await find_ticket(store, await source.pool_keys(store), ticket)


def _facts(found: Explanation) -> Text:
    """One line: id, state, and what it is."""
    title = Text.assemble(("ticket ", "bold"), (printable(found.ticket), "bold cyan"), " · ")
    title.append(found.state, STYLES.get(found.state, ""))
    for fact in _about(found):
        title.append(f" · {fact}", "dim")
    return title


def _about(found: Explanation) -> Iterator[str]:
    if found.pool:
        yield f"pool {found.pool}"
    if found.lane:
        yield f"lane {found.lane}"
    if found.band:
        yield f"{found.band}, tenant {found.tenant}"
    if found.process:
        yield f"process {found.process}"
    if found.waited_s is not None:
        yield f"has waited {duration(found.waited_s)}"


def _amounts(binding: Binding | None) -> str:
    """What is needed, what goes before, what is there, and the limit; empty where nothing is counted."""
    if binding is None or binding.need is None:
        return ""
    owner = f"tenant {binding.accounts[0]}" if binding.is_tenants else some_of(binding.accounts)
    before = f"{amount(binding.ahead)} go before it, " if binding.ahead else ""
    there = f"{amount(binding.level or 0)} there, limit {amount(binding.limit or 0)}"
    return f"{binding.resource} of {owner}: needs {amount(binding.need)}, {before}{there}"
