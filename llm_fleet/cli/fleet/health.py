"""What is wrong with a fleet, in sentences. Pure: a snapshot in, words out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..render import duration, some_of

__all__ = [
    "Trouble",
    "live_processes",
    "outage",
    "pool_reasons",
    "pool_troubles",
    "seen_s",
    "server_reasons",
    "state_of",
]

ABSENT_MS = 3000
STRIDE_MS = 1000
PATIENCE_MS = 60_000

Snapshot = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, and what to do about it."""

    text: str
    remedy: str


def seen_s(process: Snapshot, pool: Snapshot) -> float:
    """Seconds since a process was last seen.

    While nobody calls, Redis' clock of presence stands still after its first stride; `idle_ms` does not.
    """
    seen_ms: float = process["seen_ms"]
    idle_ms: float = pool.get("idle_ms", 0.0)
    return max(0.0, seen_ms + max(0.0, idle_ms - STRIDE_MS)) / 1000


def state_of(process: Snapshot, pool: Snapshot) -> str:
    """`live`; `silent`: tickets wait and it does not read; `gone`: not seen for a lease's time."""
    seen_ms = seen_s(process, pool) * 1000
    if process["state"] == 2 or seen_ms > max(pool["ttl_ms"], ABSENT_MS):
        return "gone"
    is_silent = process["state"] == 1 or (process["queued"] and seen_ms > ABSENT_MS)
    return "silent" if is_silent else "live"


def live_processes(pool: Snapshot, keyset: str | None = None) -> list[str]:
    """Ids of the processes that are live; with `keyset` those that hold just these keys."""
    return [
        name
        for name, process in pool["processes"].items()
        if state_of(process, pool) == "live" and keyset in (None, process["info"].get("keyset"))
    ]


def outage(key: Snapshot) -> str | None:
    """Why and for how long a key is out of service; None when it serves."""
    if "reason" not in key:
        return None
    until = f"for {duration(key['out_ms'] / 1000)} more" if "out_ms" in key else "until it is resumed"
    return f"out of service {until}: {key['reason'] or 'no reason was given'}"


def server_reasons(server: Snapshot) -> list[str]:
    """What about Redis itself endangers the fleet."""
    policy = server["maxmemory_policy"]
    if server["maxmemory"] and policy not in (None, "noeviction"):
        return [f"Redis may evict the fleet's state: maxmemory-policy is {policy}, set it to noeviction"]
    return []


def pool_reasons(pool: Snapshot) -> list[str]:
    """Why a pool is degraded, one sentence each; none when all is well."""
    return [trouble.text for trouble in pool_troubles(pool)]


def pool_troubles(pool: Snapshot) -> list[Trouble]:
    """The same, each with its remedy."""
    return [*_keys(pool), *_pauses(pool), *_cuts(pool), *_queues(pool), *_processes(pool), *_drift(pool)]


def _keys(pool: Snapshot) -> Iterator[Trouble]:
    for name, key in sorted(pool["keys"].items()):
        if text := outage(key):
            remedy = f"see to the key and its account, then `llm-fleet keys resume {name}`"
            yield Trouble(f"key {name} is {text}", remedy)


def _pauses(pool: Snapshot) -> Iterator[Trouble]:
    for name, domain in sorted(pool["domains"].items()):
        if domain["paused_ms"] > 0:
            text = f"the provider has paused {name} for {duration(domain['paused_ms'] / 1000)} more"
            remedy = "it answered 429: does something else use this account, or are the limits set too high?"
            yield Trouble(text, remedy)


def _cuts(pool: Snapshot) -> Iterator[Trouble]:
    remedy = "it comes back by itself; does something else use this account, or is the limit too high?"
    for name, domain in sorted(pool["domains"].items()):
        for lane, buckets in sorted(domain["lanes"].items()):
            of_lane = "" if lane == "*" else f" for lane {lane}"
            for bucket in buckets:
                if "cut" in bucket:
                    now = f"{bucket['cut']:,} instead of {bucket['limit']:,}"
                    yield Trouble(f"429s have cut {bucket['resource']} of {name}{of_lane} to {now}", remedy)


def _queues(pool: Snapshot) -> Iterator[Trouble]:
    for queue in pool["queues"]:
        head = queue.get("head")
        if head and head["waited_ms"] > PATIENCE_MS:
            waited = duration(head["waited_ms"] / 1000)
            text = f"the head of lane {queue['lane']} ({head['ticket']}) has waited {waited}"
            yield Trouble(text, "`llm-fleet status` says what for; raise that limit, add keys, or send less")
        if queue["waiting"] and not live_processes(pool, queue["keyset"]):
            tickets = f"{queue['waiting']} tickets wait in lane {queue['lane']}"
            text = f"{tickets} and no live process holds their keys"
            yield Trouble(text, "start a process with these keys; else they go with the next call of any")


def _processes(pool: Snapshot) -> Iterator[Trouble]:
    for name, process in sorted(pool["processes"].items()):
        state = state_of(process, pool)
        if state != "live" and process["queued"]:
            seen = duration(seen_s(process, pool))
            text = f"process {name} is {state}, last seen {seen} ago, with {process['queued']} tickets queued"
            info = process["info"]
            place = f"pid {info.get('pid', '?')} on {info.get('host', '?')}"
            yield Trouble(text, f"look at {place}; its tickets go with the next calls of others")


def _drift(pool: Snapshot) -> Iterator[Trouble]:
    """Processes whose limits are not those in force; domains with the same story are told together."""
    live = live_processes(pool)
    stories: dict[tuple[str, ...], list[str]] = {}
    for name, domain in sorted(pool["domains"].items()):
        if others := _others(name, domain, pool, live):
            version = f", version {domain['version']}" if domain["version"] >= 0 else ""
            stories.setdefault((f"source {domain['source']}{version}", *others), []).append(name)
    for (origin, *others), names in stories.items():
        text = (
            f"config drift: {len(others)} of {len(live)} processes ({some_of(others)}) were given other"
            f" limits for {some_of(names)} than those in force ({origin})"
        )
        yield Trouble(
            text, "restart them with the same config; `llm-fleet config apply` forces that of a file"
        )


def _others(name: str, domain: Snapshot, pool: Snapshot, live: Sequence[str]) -> list[str]:
    given = {process: pool["processes"][process]["info"].get("hashes", {}).get(name) for process in live}
    return sorted(process for process, text in given.items() if text not in (None, domain["hash"]))
