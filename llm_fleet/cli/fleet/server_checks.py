"""What `doctor` asks of the Redis server itself: version, latency, clock, memory, scripts."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from redis.exceptions import ResponseError

from ...engine.scripts import load_script, script_names
from ...errors import CoordinationError
from ...store import Store
from ..render import duration, short_amount
from .findings import Finding

__all__ = ["clock_findings", "latency_finding", "memory_findings", "script_findings", "version_finding"]

OLDEST = (6, 2)
PINGS = 20
PING_EVERY_S = 0.01
SLOW_S = 0.010
SPIKE_S = 0.250
AHEAD_S = 1.0
DRIFT = 0.01
FULL = 0.9
DIALECT = """
local packed = cjson.decode("[1]")[1] and struct.pack("l", 2 ^ 40)
return struct.unpack("l", packed) == 2 ^ 40 and 1 or error("its whole numbers have less than 64 bits")
"""

Server = Mapping[str, Any]


def version_finding(server: Server) -> Finding:
    """Whether the server is new enough for the scripts."""
    if not server["version"]:
        text = "version and memory are not known: this user may not run INFO"
        return Finding("note", "server", text, "nothing else needs it; to see them here grant +info")
    name = f"{server['software']} {server['version']}"
    numbers = tuple(int(number) for number in re.findall(r"\d+", server["version"])[:2])
    if server["software"] == "redis" and numbers < OLDEST:
        return Finding("problem", "server", f"{name} is too old for the scripts", "use Redis 6.2 or newer")
    return Finding("ok", "server", f"{name} at {server['description']}")


def memory_findings(server: Server) -> Iterator[Finding]:
    """Whether Redis may drop what it was told, and whether there is room."""
    policy, most, used = server["maxmemory_policy"], server["maxmemory"], server["used_memory"]
    if not policy:
        return
    if not most:
        text = f"{short_amount(used)}B used, no maxmemory: nothing is evicted"
        yield Finding("ok", "memory", text)
    elif policy != "noeviction":
        text = f"maxmemory-policy is {policy}: Redis may evict the fleet's state, and limits begin anew"
        remedy = "`CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf"
        yield Finding("problem", "memory", text, remedy)
    if most and used > FULL * most:
        text = (
            f"{short_amount(used)}B of maxmemory {short_amount(most)}B are used; when full, every call fails"
        )
        yield Finding("problem", "memory", text, "raise maxmemory, or move what else is in this Redis")
    elif most and policy == "noeviction":
        text = f"{short_amount(used)}B of maxmemory {short_amount(most)}B used, maxmemory-policy noeviction"
        yield Finding("ok", "memory", text)


@dataclass(frozen=True, slots=True)
class Reading:
    """The server's clock and ours at one moment, known to within `noise_s`."""

    server_s: float
    wall_s: float
    monotonic_s: float
    noise_s: float


async def latency_finding(store: Store) -> Finding:
    """Round trips, spread over a fifth of a second."""
    trips = []
    for _ in range(PINGS):
        started = time.perf_counter()
        await store.call("PING")
        trips.append(time.perf_counter() - started)
        await asyncio.sleep(PING_EVERY_S)
    text = f"round trip {1000 * median(trips):.1f} ms, at most {1000 * max(trips):.1f} ms"
    if median(trips) > SLOW_S:
        remedy = "run the processes near Redis: a call waits for one round trip, a queued one for more"
        return Finding("warning", "latency", f"{text}: slow", remedy)
    if max(trips) > SPIKE_S:
        remedy = "see `redis-cli --latency` and SLOWLOG: swapping, slow commands of others, saving to disk"
        return Finding("warning", "latency", f"{text}: it has spikes", remedy)
    return Finding("ok", "latency", text)


async def read_clock(store: Store) -> Reading:
    wall_s, monotonic_s = time.time(), time.monotonic()
    seconds, micros = await store.call("TIME")
    half_s = (time.monotonic() - monotonic_s) / 2
    return Reading(int(seconds) + int(micros) / 1e6, wall_s + half_s, monotonic_s + half_s, half_s)


async def clock_findings(store: Store) -> list[Finding]:
    """Two looks at Redis' clock, with the latency measured in between: [latency, clock …]."""
    first = await read_clock(store)
    latency = await latency_finding(store)
    return [latency, judge_clock(first, await read_clock(store))]


def judge_clock(first: Reading, last: Reading) -> Finding:
    """Whether Redis' clock runs at our pace (its own decides about limits), and how far it is off."""
    span_s = max(1e-9, last.monotonic_s - first.monotonic_s)
    drift = abs((last.server_s - first.server_s) / span_s - 1)
    ahead_s = last.server_s - last.wall_s
    side = f"{duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} ours"
    if drift > DRIFT + (first.noise_s + last.noise_s) / span_s:
        text = f"Redis' clock runs {drift:.0%} off ours, or was set just now: limits refill at its pace"
        return Finding(
            "problem", "clock", text, "let chrony or ntpd keep its host's clock, and do not set it"
        )
    if abs(ahead_s) > AHEAD_S + last.noise_s:
        text = f"Redis' clock is {side}; limits go by Redis' own, but logs of both cannot be compared"
        return Finding("warning", "clock", text, "let chrony or ntpd keep the clocks of both hosts")
    return Finding("ok", "clock", f"Redis' clock is {side}, and keeps our pace")


async def script_findings(store: Store) -> list[Finding]:
    """Whether the server takes every script as it is, and its Lua has what they use."""
    names = script_names()
    try:
        await store.call("EVAL", DIALECT, "0")
    except (CoordinationError, ResponseError) as error:
        if not isinstance(error.__cause__ or error, ResponseError):
            raise  # it does not answer
        text = f"its Lua lacks what the scripts use: {error}"
        return [Finding("problem", "scripts", text, "use Redis 6.2 or newer, or Valkey, on a 64-bit machine")]
    try:
        for name in names:
            await store.call("SCRIPT", "LOAD", load_script(name).source)
    except CoordinationError as error:
        remedy = "nothing else needs SCRIPT LOAD where EVAL is allowed; to test it here grant +script|load"
        return [Finding("note", "scripts", str(error), remedy)]
    return [Finding("ok", "scripts", f"all {len(names)} load: {', '.join(names)}")]
