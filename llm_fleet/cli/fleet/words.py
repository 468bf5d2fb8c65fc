"""What the oldest ticket of a queue waits for, in one line. Pure: a snapshot in, words out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..render import amount, duration
from .health import live_processes, outage, state_of

__all__ = ["waiting_line"]

Snapshot = Mapping[str, Any]


def waiting_line(queue: Snapshot, pool: Snapshot) -> str:
    """One line about a queue in which something waits."""
    head, title = queue.get("head"), f"lane {queue['lane']}, {queue['waiting']:,} waiting"
    if not live_processes(pool, queue["keyset"]):
        return f"{title}: no process that holds these keys is live, so nothing can be granted"
    if not head:
        return f"{title}: all of them belong to processes that do not read their mailbox"
    waited, band = duration(head["waited_ms"] / 1000), "" if head["band"] == "normal" else f"{head['band']}, "
    who = f"head {head['ticket']} ({band}tenant {head['tenant']}) has waited {waited}"
    return f"{title}: {who} {_cause(head, pool)}"


def _cause(head: Snapshot, pool: Snapshot) -> str:
    match head:
        case {"refusal": "no_key"}:
            return f"and no key is in service: {_outages(pool)}"
        case {"refusal": str()}:
            most = amount(head.get("limit", 0))
            return f"for more {head.get('resource')} than the limit of {most}: it is refused"
        case {"wait_ms": 0}:
            return f"and can go now: it is granted with the next step{_silence(head, pool)}"
        case {"resource": "pause"}:
            return f"while {_paused(head, pool)}"
        case {"resource": "key", "key": key}:
            return f"while {_out(key, pool)}"
        case {"resource": "concurrency", "key": key}:
            return f"for a slot on key {key}: {_slots(key, pool)}"
        case {"resource": resource, "key": key}:
            return f"for {resource} on key {key}: {_refill(head)}"
    return "and what for is not known"


def _outages(pool: Snapshot) -> str:
    texts = {text for key in pool["keys"].values() if (text := outage(key))}
    return texts.pop() if len(texts) == 1 else f"all {len(pool['keys'])} are out of service"


def _out(key: str, pool: Snapshot) -> str:
    text = f"key {key} is {outage(pool['keys'].get(key, {})) or 'out of service'}"
    others = [name for name, other in pool["keys"].items() if name != key and outage(other)]
    return f"all {len(others) + 1} keys are out; {text}" if len(others) + 1 == len(pool["keys"]) else text


def _silence(head: Snapshot, pool: Snapshot) -> str:
    process = pool["processes"].get(head["process"])
    if process is None or state_of(process, pool) == "live":
        return ""
    return f"; its process {head['process']} does not answer"


def _paused(head: Snapshot, pool: Snapshot) -> str:
    """The provider asked for a pause; of one key's account, or of all."""
    left = duration(head.get("wait_ms", 0) / 1000)
    domains = [name for key in pool["keys"].values() for name in key["domains"]]
    if all(pool["domains"].get(name, {}).get("paused_ms", 0) > 0 for name in domains):
        return f"all {len(pool['keys'])} keys are paused by the provider, {head['key']} for {left} more"
    return f"key {head['key']} is paused by the provider for {left} more"


def _slots(key: str, pool: Snapshot) -> str:
    domains = [pool["domains"][name] for name in pool["keys"][key]["domains"] if name in pool["domains"]]
    full = [domain for domain in domains if 0 < domain["concurrency"] <= domain["in_flight"]]
    if full:
        return f"all {full[0]['concurrency']} are in flight"
    return "every free one is reserved by an earlier head"


def _refill(head: Snapshot) -> str:
    there = f"needs {amount(head['need'])}, {amount(head['level'])} there"
    if "wait_ms" in head:
        return f"{there}, refills in {duration(head['wait_ms'] / 1000)}"
    return f"{there}, and what else there is, running calls hold until they end"
