"""The demo's last word: the results as tables, as wide as the terminal permits."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..render import count_of, plain_table, sentences, short_amount

__all__ = ["fitting", "print_results"]


WIDE = 1000
"""More columns than any table needs."""


def fitting(console: Console, wide: Table, narrow: Table) -> Table:
    """The wide table where it fits the console, else the narrow one."""
    needed = Measurement.get(console, console.options.update(max_width=WIDE), wide).maximum
    return wide if needed <= console.width else narrow


def print_results(console: Console, found: dict[str, Any]) -> None:
    """Keys, processes, and the kill."""
    keys = fitting(console, _keys(found), _keys_briefly(found))
    processes = fitting(console, _processes(found), _processes(found, is_narrow=True))
    console.print("", keys, "", processes, "")
    if kill := found["kill"]:
        console.print(Text("what the kill -9 cost", "bold"), sentences(_costs(kill, found)), "")
    style = "bold green" if not found["failed"] and not found["rejected_429"] else "bold yellow"
    console.print(
        Text(
            f"{found['accepted']} requests accepted, {found['used']:.1%} of what was permitted,"
            f" {found['rejected_429']} 429s, {found['failed']} failed calls",
            style,
        )
    )
    for error in found["errors"]:
        console.print(Text(error, "red"))


def _keys(found: dict[str, Any]) -> Table:
    columns = ("requests", "input_tokens", "output_tokens")
    titles = ("key", "requests", "input tokens", "output tokens", "most in flight", "429s")
    table = plain_table(*titles, right=["429s"])
    for key in found["keys"]:
        cells = [_used(key[resource]) for resource in columns]
        peak = f"{key['peak_in_flight']} of {key['slots']}"
        table.add_row(key["key"], *cells, peak, str(key["rejected_429"]))
    return table


def _keys_briefly(found: dict[str, Any]) -> Table:
    table = plain_table("key", "requests", "input", "output", "429s", right=["input", "output", "429s"])
    for key in found["keys"]:
        shares = [f"{_share(key[resource]):.0%}" for resource in ("input_tokens", "output_tokens")]
        table.add_row(key["key"], _used(key["requests"]), *shares, str(key["rejected_429"]))
    return table


def _share(limit: dict[str, int]) -> float:
    return limit["used"] / max(1, limit["permitted"])


def _used(limit: dict[str, int]) -> str:
    return f"{short_amount(limit['used'])}/{short_amount(limit['permitted'])} {_share(limit):.0%}"


def _processes(found: dict[str, Any], *, is_narrow: bool = False) -> Table:
    titles = ("process", "served", "failed", "wait p50" if is_narrow else "queue wait p50", "p95", "")
    table = plain_table(*titles, right=titles[1:5])
    for process in found["processes"]:
        note = Text("killed", "red") if process["killed"] else Text("")
        counts = [str(process["served"]), str(process["failed"])]
        number = str(process["process"])
        name = number if is_narrow else f"{number} (pid {process['pid']})"
        table.add_row(name, *counts, *_waits(process), note)
    served = sum(process["served"] for process in found["processes"])
    table.add_row("all", str(served), str(found["failed"]), *_waits(found), "")
    return table


def _waits(found: dict[str, Any]) -> list[str]:
    waits = found["queue_wait_s"]
    return ["-" if waits[name] is None else f"{waits[name]:.2f} s" for name in ("p50", "p95")]


def _costs(kill: dict[str, Any], found: dict[str, Any]) -> list[str]:
    back = kill["slots_back_s"]
    gap, usual = kill["largest_gap_s"], kill["largest_gap_before_s"]
    ttl = f"a lease lives {kill['lease_ttl_s']:g} s"
    when = f"after {back} s ({ttl})" if back is not None else f"only after the demo ({ttl})"
    in_flight, queued = kill["leases_held"], kill["queued"]
    return [
        f"largest gap between two accepted requests: {gap} s (before the kill: {usual} s)",
        f"process {kill['process']} held {count_of(in_flight, 'slot')}, back {when}",
        f"lost with it: {count_of(in_flight, 'call')} in flight, {count_of(queued, 'waiting ticket')}",
        f"lost elsewhere: {count_of(found['failed'], 'call')}; granted twice: {found['granted_twice']}",
    ]
