"""The demo's last word: the results as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..render import plain_table, sentences, short_amount

__all__ = ["print_results"]


def print_results(console: Console, found: dict[str, Any]) -> None:
    """Keys, processes, and the kill."""
    console.print("", _keys(found), "", _processes(found), "")
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


def _used(limit: dict[str, int]) -> str:
    share = limit["used"] / max(1, limit["permitted"])
    return f"{short_amount(limit['used'])}/{short_amount(limit['permitted'])} {share:.0%}"


def _processes(found: dict[str, Any]) -> Table:
    titles = ("process", "served", "failed", "queue wait p50", "p95", "")
    table = plain_table(*titles, right=titles[1:5])
    for process in found["processes"]:
        note = Text("killed", "red") if process["killed"] else Text("")
        counts = [str(process["served"]), str(process["failed"])]
        table.add_row(f"{process['process']} (pid {process['pid']})", *counts, *_waits(process), note)
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
        f"process {kill['process']} held {in_flight} slots; they were back {when}",
        f"lost with it: {in_flight} calls in flight, {queued} waiting tickets",
        f"lost elsewhere: {found['failed']} calls; granted twice: {found['granted_twice']}",
    ]
