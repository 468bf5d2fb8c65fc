"""One pool driven through its scripts alone, as its processes would; and what Redis says it cost.

CPU is that of `INFO commandstats`, bytes are those of `MEMORY USAGE`. Decides nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.lease import Lease
from llm_fleet.engine.operations import Enqueue, Settle, Waiter
from llm_fleet.engine.packing import encode_call
from llm_fleet.engine.registration import Known, keyset_hash, offer
from llm_fleet.engine.scripts import load_script
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, Need, PoolLimits, Settlement

__all__ = [
    "BARE",
    "BARE_SHA",
    "Answer",
    "ScriptPool",
    "cpu_us",
    "empty",
    "in_turns",
    "open_server",
    "per_step_us",
    "pool_limits",
    "script_us",
]

BARE = "return 1"
BARE_SHA = hashlib.sha1(BARE.encode()).hexdigest()
PLENTY = 10**9
MOST_OPERATIONS = 128
NAMESPACE = PROCESS = "bench"
TTL_S = 600.0  # nothing expires in a run, however slow it is
Wire = list[Any]


def pool_limits(
    keys: int = 4, *, requests: int = 10**8, slots: int = 0, capacity: int = 0, name: str = "p"
) -> PoolLimits:
    """A pool of keys with an account each and three resources; `capacity`: the most requests at once."""
    burst_ms = max(1, capacity * 60_000 // requests) if capacity else 60_000
    buckets = (
        Bucket("requests", requests, burst_ms=burst_ms, jitter_ms=0 if capacity else 500),
        Bucket("input_tokens", PLENTY, rule="at_start_adjust"),
        Bucket("output_tokens", PLENTY, rule="as_produced"),
    )
    lanes = (LaneLimits("*", buckets, slots),)
    domains = tuple(DomainLimits(f"account-{i}", lanes) for i in range(keys))
    return PoolLimits(name, tuple((f"key-{i:04}", (f"account-{i}",)) for i in range(keys)), domains)


DAY = PoolLimits(
    "day",
    (("key", ("account",)),),
    (
        DomainLimits(
            "account", (LaneLimits("*", (Bucket("requests", 100, period_ms=86_400_000, jitter_ms=0),)),)
        ),
    ),
)
"""One key of 100 requests a day."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a step said: one result per operation, and grants of tickets that had waited."""

    results: list[list[Any]]
    grants: list[list[Any]]
    wakes: list[list[Any]]


class ScriptPool:
    """A pool, which its server must not know yet, and the processes that use it."""

    def __init__(self, client: redis.Redis, limits: PoolLimits, *processes: str) -> None:
        self.client, self.limits, self.keys = client, limits, PoolKeys(NAMESPACE, limits.pool)
        self._keyset, self._numbers = keyset_hash(limits), itertools.count(1)
        for script in ("pool_register", "pool_step", "pool_snapshot"):
            client.script_load(load_script(script).source)
        for process in processes or (PROCESS,):
            self.register(process)

    def register(self, process: str) -> None:
        """Make a process known."""
        text = offer(self.limits, Known(), TTL_S, [])
        self._call("pool_register", process, "epoch", text)

    def step(self, operations: Sequence[Wire], process: str = PROCESS) -> Answer:
        """One step of a process."""
        reply = json.loads(self._send_step(self.client, operations, process))
        assert reply[0] == "ok", reply
        return Answer(reply[3], reply[4], reply[5])

    def _send_step(self, client: redis.Redis, operations: Sequence[Wire], process: str = PROCESS) -> Any:
        return self._call("pool_step", encode_call(process, "epoch", 0, operations), client=client)

    def _call(self, name: str, *arguments: str | bytes | int, client: redis.Redis | None = None) -> Any:
        keys = self.keys.all()
        to = self.client if client is None else client
        return to.evalsha(load_script(name).sha, len(keys), *keys, *arguments)

    def enqueues(self, count: int, process: str = PROCESS, *, tenants: int = 1, first: int = 0) -> list[Wire]:
        """So many enqueues under new ids, of tenants in turn; `first`: so many turns were before."""
        numbers = range(first, first + count)
        return [self._enqueue(f"{process}-{next(self._numbers):x}", i % tenants) for i in numbers]

    def _enqueue(self, ticket: str, tenant: int) -> Wire:
        need = Need("*", 100, 4096, tenant=f"tenant-{tenant}" if tenant else "default")
        waiter = Waiter(Lease(cast(Any, None), ticket, need, cast(Any, None)), cast(Any, None), 600.0)
        return Enqueue(waiter, self._keyset, "", 10**7).wire(0.0)

    def queue_up(self, count: int, process: str = PROCESS, *, tenants: int = 1) -> None:
        """Enqueue so many tickets that have to wait."""
        for first in range(0, count, MOST_OPERATIONS):
            most = min(MOST_OPERATIONS, count - first)
            results = self.step(self.enqueues(most, process, tenants=tenants, first=first), process).results
            assert {result[0] for result in results} == {"q"}, results[0]

    def live(self, batch: int, rounds: int, *, rides: bool = True) -> int:
        """So many lives that never wait; settles ride with the next enqueues where a step has room.

        Without `rides` each settle is a step of its own.
        """
        before: list[Wire] = []
        for number in range(rounds):
            asked = self.enqueues(batch)
            if before and (not rides or 2 * batch > MOST_OPERATIONS):
                self.step(before)
                before = []
            results = self.step([*before, *asked]).results
            assert {result[0] for result in results} <= {"g", "s"}, results
            before = [settle(wire[1], number + i) for i, wire in enumerate(asked)]
        self.step(before)
        return batch * rounds

    def live_in_a_row(self, count: int) -> int:
        """So many lives, a step for each enqueue and each settle, sent without waiting for replies."""
        asked = self.enqueues(count)
        for steps in ([[wire] for wire in asked], [[settle(wire[1], i)] for i, wire in enumerate(asked)]):
            pipe = self.client.pipeline(transaction=False)
            for wires in steps:
                self._send_step(pipe, wires)
            results = {json.loads(reply)[3][0][0] for reply in pipe.execute()}
            assert results in ({"g"}, {"s"}), results
        return count

    def waiting(self) -> int:
        """Tickets that are queued."""
        snapshot = self._call("pool_snapshot")
        return int(json.loads(snapshot)["waiting"])

    def bytes_used(self) -> int:
        """Memory of all keys of the pool."""
        names = self.client.keys(f"{self.keys.prefix}*")
        return sum(int(self.client.memory_usage(name, samples=0) or 0) for name in names)


def settle(ticket: str, number: int = 0) -> Wire:
    """The end of a lease, with an output that varies."""
    return Settle(ticket, Settlement(95, 100 + 37 * number % 150)).wire(0.0)


def script_us(client: redis.Redis) -> float:
    """CPU that Redis has spent in EVALSHA since its statistics were reset, in µs."""
    return float(client.info("commandstats").get("cmdstat_evalsha", {}).get("usec", 0))


def empty(client: redis.Redis) -> None:
    """Forget everything, and free its memory now: not beside what is measured next."""
    client.execute_command("FLUSHALL", "SYNC")


Work = Callable[[], int]
"""Does something to a pool, and says how many units of it."""


def spent_us(client: redis.Redis, work: Work) -> float:
    """µs of Redis per unit of some work."""
    client.config_resetstat()
    units = work()
    return script_us(client) / units


def in_turns(
    client: redis.Redis,
    works: Sequence[Work],
    turns: int,
    *,
    repeats: int = 2,
    between: Callable[[], None] = lambda: None,
) -> list[list[float]]:
    """µs of Redis per unit of each work, in each turn: the best of its repeats there, the first of them cold.

    One work follows the other within a fraction of a second, again and again: a machine that is slower for a
    while is so for all of them.
    """
    found: list[list[float]] = [[] for _ in works]
    for _ in range(turns):
        for work, spent in zip(works, found, strict=True):
            spent.append(min(spent_us(client, work) for _ in range(repeats)))
        between()
    return found


def cpu_us(client: redis.Redis) -> float:
    """CPU of the server process so far, in µs."""
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6


def per_step_us(pool: ScriptPool, operations: Sequence[Wire], process: str = PROCESS) -> tuple[float, Answer]:
    """One step and the most that it can have cost.

    `commandstats` counts the time in which another process had the core, the CPU of the server what it
    did beside the step: the smaller of the two is nearer.
    """
    by_stats, by_cpu = script_us(pool.client), cpu_us(pool.client)
    answer = pool.step(operations, process)
    by_cpu = cpu_us(pool.client) - by_cpu
    return min(script_us(pool.client) - by_stats, by_cpu), answer


@contextmanager
def open_server() -> Iterator[tuple[PrivateServer, redis.Redis]]:
    """A private server and a client."""
    with PrivateServer.start() as server, redis.Redis.from_url(server.url) as client:
        deadline = time.monotonic() + 5
        while not client.ping() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield server, client
