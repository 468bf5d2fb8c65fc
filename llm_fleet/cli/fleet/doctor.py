"""`llm-fleet doctor`: what would make a fleet slow, wrong or deaf, each with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

import typer

from ...engine.snapshot import read_fleet
from ...store import Store
from ..render import open_console, print_json
from .findings import Finding, findings_table, verdict
from .reading import read_server
from .rights import right_findings
from .server_checks import clock_findings, memory_findings, script_findings, version_finding
from .source import ConfigOption, NamespaceOption, PoolOption, RedisOption, Source, Where, find_source

__all__ = ["doctor"]

DEGRADED = 1


def doctor(
    config: ConfigOption = None,
    redis: RedisOption = None,
    namespace: NamespaceOption = None,
    pool: PoolOption = None,
    json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Examine config, Redis and pools; each finding comes with its remedy.

    Joins no pool and changes none: it tries its rights on keys of its own, and leaves none behind.
    Exit code 1 where something is to be mended; notes and warnings do not count.
    """
    source = find_source(Where(config, redis, namespace, tuple(pool or ())))
    findings = asyncio.run(_examine(source, as_json=json))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        open_console().print(verdict(findings))
    raise typer.Exit(DEGRADED if any(finding.grade == "problem" for finding in findings) else 0)


async def _examine(source: Source, *, as_json: bool) -> list[Finding]:
    """Every finding, printed as it comes: before a Redis that is away, the config's are told."""
    console, found = open_console(), list[Finding]()
    async with source.open() as store:
        async for findings in _rounds(store, source):
            found += findings
            if findings and not as_json:
                console.print(findings_table(findings))
    return found


async def _rounds(store: Store, source: Source) -> AsyncIterator[list[Finding]]:
    """What can be told at once, part by part.

    Raises:
        CoordinationError: Redis does not answer.
    """
    yield _of_config(source)
    server = await read_server(store)
    yield [version_finding(server)]
    yield await clock_findings(store)
    yield list(memory_findings(server))
    rights = await right_findings(store, source)
    yield rights
    if any(finding.grade == "problem" for finding in rights):
        return
    yield await script_findings(store)
    yield await _of_pools(store, source)


def _of_config(source: Source) -> list[Finding]:
    if source.config is None:
        return [Finding("note", "config", "none was read: limits are not compared", "name it with --config")]
    doubts = [text.partition("; ") for text in source.config.warnings()]
    return [Finding("warning", "config", text, remedy) for text, _, remedy in doubts] or [
        Finding("ok", "config", f"{len(source.config.providers)} providers, nothing doubtful")
    ]


async def _of_pools(store: Store, source: Source) -> list[Finding]:
    from .pool_checks import pool_findings  # pydantic: not worth the time of other commands

    pools = await read_fleet(store, await source.pool_keys(store))
    if not pools:
        place = f"no pool in namespace {source.namespace}"
        return [Finding("note", "pool", place, "is it the right --namespace? Else start a process first")]
    return [one for name, pool in pools.items() for one in pool_findings(name, pool, source.config)]
