"""What the engine costs Redis: CPU per request life, and bytes per ticket (ENGINE.md §8).

`python -m benchmarks.engine_cost [--rounds N] [--json]`: a private server; lives one at a time and
in batches through the scripts alone, from `INFO commandstats`, beside a bare `EVALSHA return 1`
of the same run. Read the figures as ratios: they are those of this machine, now.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.registration import Known, keyset_hash, offer
from llm_fleet.engine.scripts import load_script
from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits

BATCHES = (1, 8, 32)
TICKETS = 2_000
PROCESS = "benchmark"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU per life in µs, and Redis commands per life, for lives in batches of this size."""

    batch: int
    us_per_life: float
    commands_per_life: float


def pool_limits(keys: int, requests_per_minute: int) -> PoolLimits:
    """Three resources for each of the keys."""
    buckets = (
        Bucket("requests", requests_per_minute),
        Bucket("input_tokens", 10**9, rule="at_start_adjust"),
        Bucket("output_tokens", 10**9, rule="as_produced"),
    )
    domains = tuple(DomainLimits(f"account-{i}", (LaneLimits("*", buckets),)) for i in range(keys))
    return PoolLimits("p", tuple((f"key-{i}", (f"account-{i}",)) for i in range(keys)), domains)


class Caller:
    """Calls the scripts of one pool as one process."""

    def __init__(self, client: redis.Redis, limits: PoolLimits) -> None:
        self.client, self._keys, self._keyset = client, PoolKeys("cost", "p"), keyset_hash(limits)
        register, step = load_script("pool_register"), load_script("pool_step")
        arguments = [PROCESS, "epoch", self._keys.mailboxes, offer(limits, Known(), 15.0, [])]
        client.eval(register.source, 6, *self._keys.all(), *arguments)
        self._sha, self._made = client.script_load(step.source), 0

    def step(self, operations: Sequence[Any]) -> list[Any]:
        """The results of one step."""
        wire = json.dumps(operations, separators=(",", ":"))
        arguments = [PROCESS, "epoch", self._keys.mailboxes, 0, wire]
        results: list[Any] = json.loads(self.client.evalsha(self._sha, 6, *self._keys.all(), *arguments))[3]
        return results

    def enqueues(self, count: int) -> list[list[Any]]:
        """So many enqueues under new ids."""
        self._made += count
        need = [self._keyset, "*", 100, 4096, 600_000, "normal", "default", "", "", 100_000]
        return [["e", f"{PROCESS}-{self._made - i:x}", *need] for i in range(count)]


def settles(enqueues: Sequence[list[Any]], round_number: int) -> list[list[Any]]:
    """The ends of these, with outputs that vary."""
    outputs = [100 + 37 * (round_number + i) % 150 for i in range(len(enqueues))]
    return [["s", wire[1], 95, output, -1, 0] for wire, output in zip(enqueues, outputs, strict=True)]


def live(caller: Caller, batch: int, rounds: int) -> int:
    """So many lives; settles ride with the next enqueues, but one at a time each goes alone."""
    before: list[list[Any]] = []
    for i in range(rounds):
        asked = caller.enqueues(batch)
        if batch == 1:
            caller.step(before)
            before = []
        results = caller.step([*before, *asked])
        assert {result[0] for result in results} <= {"g", "s"}
        before = settles(asked, i)
    caller.step(before)
    return batch * rounds


def evalsha_us(client: redis.Redis) -> tuple[float, float, float]:
    """CPU of all EVALSHA since the last reset, their number, and that of all commands."""
    stats = client.info("commandstats")
    own = stats.get("cmdstat_evalsha", {"usec": 0, "calls": 0})
    return own["usec"], own["calls"], sum(stat["calls"] for stat in stats.values())


def bare_us(client: redis.Redis, calls: int) -> float:
    """CPU of a script that does nothing."""
    sha = client.script_load("return 1")
    client.config_resetstat()
    for _ in range(calls):
        client.evalsha(sha, 0)
    spent, counted, _ = evalsha_us(client)
    return spent / counted


def costs(client: redis.Redis, keys: int, rounds: int) -> list[Cost]:
    """What lives cost that never wait, one at a time and in batches."""
    found = []
    for batch in BATCHES:
        client.flushall()
        caller = Caller(client, pool_limits(keys, 10**8))
        live(caller, batch, 60 // batch + 1)
        client.config_resetstat()
        lives = live(caller, batch, max(20, rounds // batch))
        spent, _, commands = evalsha_us(client)
        found.append(Cost(batch, round(spent / lives, 1), round(commands / lives, 2)))
    return found


def bytes_each(client: redis.Redis, keys: int, requests_per_minute: int) -> int:
    """Redis memory per ticket of a crowd that is granted, or has to wait."""
    client.flushall()
    caller = Caller(client, replace(pool_limits(keys, requests_per_minute)))
    before = client.info("memory")["used_memory"]
    for _ in range(TICKETS // 100):
        caller.step(caller.enqueues(100))
    return int((client.info("memory")["used_memory"] - before) / TICKETS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2_000, help="lives per batch size")
    parser.add_argument("--keys", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with PrivateServer.start() as server, redis.Redis.from_url(server.url) as client:
        bare = round(bare_us(client, 3_000), 2)
        found = costs(client, options.keys, options.rounds)
        lease, waiting = bytes_each(client, options.keys, 10**8), bytes_each(client, options.keys, 1)
    if options.json:
        batches = {cost.batch: {"us": cost.us_per_life, "commands": cost.commands_per_life} for cost in found}
        print(json.dumps({"bare_us": bare, "lives": batches, "lease_bytes": lease, "queued_bytes": waiting}))
        return
    print(f"bare EVALSHA return 1: {bare} µs; {options.keys} keys, 3 resources")
    print(f"{'batch':>6} {'µs per life':>12} {'times bare':>11} {'commands per life':>18}")
    for cost in found:
        ratio = cost.us_per_life / bare
        print(f"{cost.batch:>6} {cost.us_per_life:>12} {ratio:>11.1f} {cost.commands_per_life:>18}")
    print(f"bytes per lease {lease}, per queued ticket {waiting}")


if __name__ == "__main__":
    main()
