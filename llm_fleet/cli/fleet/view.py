"""How `status` looks on a terminal: the server, and per pool its keys, processes and queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ..render import count_of, duration, plain_table, sentences, short_amount, some_of
from .health import seen_s, state_of
from .limits import keys_table
from .tenants import bands_line, tenants_section
from .urgency import FEW, urgent_keys, urgent_processes

__all__ = ["status_view"]

Snapshot = Mapping[str, Any]

CLOCK_MATTERS_S = 1.0
FORGOTTEN_S = 60.0
NARROW = 76


def status_view(status: Snapshot, *, width: int, most: int | None = FEW) -> Group:
    """The fleet, for a terminal of `width` columns; the most urgent first, should it be too low.

    Of more than `most` keys or processes only the most urgent are shown; None: all.
    """
    parts: list[RenderableType] = [_server_line(status), *_verdict(status)]
    for name, pool in status["pools"].items():
        parts += [Text(""), *(_pool(name, pool, width, most) if pool else [_unknown(name)])]
    return Group(*parts)


def _verdict(status: Snapshot) -> Iterator[RenderableType]:
    if status["reasons"]:
        yield Text("degraded", "bold red")
        yield sentences(status["reasons"], style="red")
        yield Text("llm-fleet doctor says what to do", "dim")
    elif any(status["pools"].values()):
        yield Text("ok", "bold green")
    elif not status["pools"]:
        place = f"namespace {status['namespace']}"
        yield Text(f"no pool in {place}: no process has registered there", "yellow")


def _unknown(name: str) -> Text:
    return Text(f"pool {name}: no process has registered yet", "yellow")


def _server_line(status: Snapshot) -> Text:
    server = status["server"]
    parts = [f"{server['latency_ms']:.1f} ms", f"namespace {status['namespace']}"]
    if server["version"]:
        memory = f"{short_amount(server['used_memory'])}B, {server['maxmemory_policy']}"
        parts = [f"{server['software']} {server['version']}", parts[0], memory, parts[1]]
    if abs(server["clock_ahead_s"]) > CLOCK_MATTERS_S:
        side = "ahead of" if server["clock_ahead_s"] > 0 else "behind"
        parts.append(f"clock {duration(abs(server['clock_ahead_s']))} {side} ours (only Redis' own counts)")
    return Text.assemble(("Redis ", "bold"), server["description"], (" · " + " · ".join(parts), "dim"))


def _pool(name: str, pool: Snapshot, width: int, most: int | None) -> Iterator[RenderableType]:
    live = [process for process in pool["processes"].values() if state_of(process, pool) == "live"]
    facts = [
        count_of(len(pool["keys"]), "key"),
        f"{count_of(len(live), 'process')} live",
        f"{pool['leases']:,} in flight",
        f"{pool['waiting']:,} waiting",
    ]
    yield Text.assemble(("pool ", "bold"), (name, "bold cyan"), (" · " + " · ".join(facts), "dim"))
    if pool["waits_for"]:
        yield sentences(pool["waits_for"])
    if bands := bands_line(pool):
        yield Text(f"waiting: {bands}", "dim")
    if heads := [queue["head"] for queue in pool["queues"] if queue.get("head")]:
        oldest = max(heads, key=lambda head: head["waited_ms"])
        yield Text(f"llm-fleet explain {oldest['ticket']} says more, also of any other ticket", "dim")
    yield Text("")
    shown = urgent_keys(pool, most)
    yield keys_table({**pool, "keys": {key: pool["keys"][key] for key in shown}}, width)
    if left := len(pool["keys"]) - len(shown):
        yield Text(f"and {count_of(left, 'key')} with more left than these; --all shows them", "dim")
    yield Text("level/capacity; the lighter part of a bar and h: held for running calls\n", "dim")
    yield from tenants_section(pool, most, is_narrow=width < NARROW)
    yield from _processes_table(pool, most, is_narrow=width < NARROW)


def _processes_table(pool: Snapshot, most: int | None, *, is_narrow: bool) -> Iterator[RenderableType]:
    facts = ("pid",) if is_narrow else ("host", "pid", "command")
    titles = ("process", *facts, "seen", "leases", "queued", "state")
    table = plain_table(*titles, right=["pid", "leases", "queued"])
    long_gone = []
    shown = urgent_processes(pool, most)
    for name in shown:
        process = pool["processes"][name]
        state, seen, info = state_of(process, pool), seen_s(process, pool), process["info"]
        if state == "gone" and seen > FORGOTTEN_S and not process["queued"] and not process["leases"]:
            long_gone.append(name)
            continue
        what = [str(info.get(field, "?")) for field in facts]
        counts = [f"{process['leases']:,}", f"{process['queued']:,}"]
        table.add_row(name, *what, f"{duration(seen)} ago", *counts, Text(state, STYLES[state]))
    if table.row_count:
        yield table
    if long_gone:
        yield Text(f"gone for more than a minute: {some_of(long_gone)}", "dim")
    if left := len(pool["processes"]) - len(shown):
        yield Text(f"and {count_of(left, 'process')} with less to do; --all shows them", "dim")


STYLES = {"live": "green", "silent": "yellow", "gone": "red"}
