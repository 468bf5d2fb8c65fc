"""The demo's last word: the results as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..render import amount, plain_table, sentences

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
    table = plain_table("key", "requests", "input tokens", "output tokens", "peak in flight", "429s", right=["429s"])
    for key in found["keys"]:
        cells = [_used(key[resource]) for resource in columns]
        peak = f"{key['peak_in_flight']} of {key['slots']}"
        table.add_row(key["key"], *cells, peak, str(key["rejected_429"]))
    return table


def _used(limit: dict[str, int]) -> str:
    share = limit["used"] / max(1, limit["permitted"])
    return f"{amount(limit['used'])} of {amount(limit['permitted'])} {share:.0%}"


def _processes(found: dict[str, Any]) -> Table:
    table = plain_table("process", "served", "failed", "queue wait p50", "p95", "", right=["served", "failed", "p95"])
    for process in found["processes"]:
        note = Text("killed", "red") if process["killed"] else Text("")
        counts = [str(process["served"]), str(process["failed"])]
        table.add_row(f"{process['process']} (pid {process['pid']})", *counts, *_waits(process), note)
    table.add_row("all", str(sum(p["served"] for p in found["processes"])), str(found["failed"]), *_waits(found), "")
    return table


def _waits(found: dict[str, Any]) -> list[str]:
    waits = found["queue_wait_s"]
    return ["-" if waits[name] is None else f"{waits[name]:.2f} s" for name in ("p50", "p95")]


def _costs(kill: dict[str, Any], found: dict[str, Any]) -> list[str]:
    back = kill["slots_back_s"]
    return [
        f"the provider accepted nothing for {kill['largest_gap_s']} s at most (before the kill: {kill['largest_gap_before_s']} s)",
        f"the {kill['leases_held']} slots that process {kill['process']} held were back "
        + (f"after {back} s" if back is not None else "only after the demo"),
        f"{kill['tickets_lost']} tickets died with their process; of the others {found['failed']} failed,"
        f" {found['granted_twice']} were granted twice",
    ]
