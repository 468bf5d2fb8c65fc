"""What a step asks of Redis, in commands and arguments: counted, not timed, and flat in everything that grows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llm_fleet.engine.values import Bucket, PoolLimits
from tests.pool_rig import Rig, Wire, beat, enqueue, mini_rig, pool_of, settle

PATIENT_MS = 10**9
TOKENS = Bucket("tokens", 10**7)


def limits_of(keys: int, amount: int) -> PoolLimits:
    """So many alike accounts of one key each."""
    return pool_of(Bucket("requests", amount, jitter_ms=0), TOKENS, keys=keys)


def work_of(rig: Rig, *steps: Sequence[Wire], process: str = "A") -> list[int]:
    """The work of each of these steps."""
    done = []
    rig.client.work()
    for wires in steps:
        rig.taken(process, *wires)
        done.append(rig.client.work())
    return done


def asks(limits: PoolLimits, count: int, **options: object) -> list[list[Wire]]:
    """So many steps that enqueue one ticket each."""
    wires = [enqueue(f"A-{i}", limits, wait_ms=PATIENT_MS, **options) for i in range(count)]  # type: ignore[arg-type]
    return [[wire] for wire in wires]


def emptied(keys: int) -> tuple[Rig, PoolLimits]:
    """A pool whose accounts have all given what they had."""
    limits = limits_of(keys, 1)
    rig = mini_rig(limits, "A")
    for first in range(0, keys, 100):
        rig.taken("A", *(enqueue(f"A-x{first + i}", limits) for i in range(min(100, keys - first))))
    return rig, limits


@pytest.mark.parametrize("keys", [20, 600])
def test_grant_is_flat_in_the_keys(keys: int) -> None:
    """A grant among 600 keys asks for no more than one among nine, and for little more than one among four."""
    four, nine, many = (
        work_of(mini_rig(limits, "A"), *asks(limits, 30))
        for limits in (limits_of(count, 60_000) for count in (4, 9, keys))
    )
    assert sum(many) <= 1.05 * sum(nine)
    assert sum(many) <= 1.25 * sum(four)
    assert max(many) <= max(nine)


@pytest.mark.parametrize("keys", [9, 20, 600])
def test_wait_is_flat_in_the_keys(keys: int) -> None:
    """A ticket that has to wait for one of 600 keys asks for little more than one of eight: an index is walked."""
    few, many = (work_of(rig, *asks(limits, 30)) for rig, limits in (emptied(8), emptied(keys)))
    assert sum(many) <= 2 * sum(few)
    assert max(many) <= 160


def test_life_asks_for_little() -> None:
    """A grant among four keys asks for some thirty words, and a settle for some fifty."""
    limits = limits_of(4, 60_000)
    rig = mini_rig(limits, "A")
    assert sum(work_of(rig, *asks(limits, 30))) <= 30 * 31
    assert sum(work_of(rig, *([settle(f"A-{i}", 1, 1)] for i in range(30)))) <= 30 * 50


def test_preferred_key_is_found_by_its_name() -> None:
    """A ticket that prefers one of 600 keys goes by it, and asks for no more than any other."""
    limits = limits_of(600, 60_000)
    rig = mini_rig(limits, "A")
    told = [rig.enqueue("A", f"B-{i}", preferred=f"k{i}")[1] for i in range(20)]
    assert told == [f"k{i}" for i in range(20)]
    plain = work_of(rig, *asks(limits, 20))
    assert sum(work_of(rig, *asks(limits, 20, preferred="k7"))) <= 1.2 * sum(plain)


def queued_rig(count: int) -> tuple[Rig, PoolLimits]:
    """A pool with so many tickets queued, and leases that can be settled one by one."""
    limits = pool_of(Bucket("tokens", 10**6), slots=50)
    rig = mini_rig(limits, "A")
    for first in range(0, count + 50, 100):
        wires = [enqueue(f"A-{first + i:05}", limits, wait_ms=PATIENT_MS) for i in range(100)]
        rig.taken("A", *wires[: count + 50 - first])
    return rig, limits


def test_grant_is_flat_in_the_queue() -> None:
    """A settle that lets one of 3,000 waiting tickets go asks for no more than with a hundred."""
    steps = [[settle(f"A-{i:05}", 0, 0)] for i in range(30)]
    short, long = (work_of(queued_rig(count)[0], *steps) for count in (100, 3_000))
    assert sum(long) <= 1.05 * sum(short)


def test_step_is_flat_in_the_processes() -> None:
    """Steps and heartbeats of one process among two hundred that wait for nothing cost what they cost alone."""
    limits = limits_of(4, 60_000)
    sums = []
    for others in (1, 200):
        rig = mini_rig(limits, "A", *(f"P{i}" for i in range(others)))
        sums.append(sum(work_of(rig, *asks(limits, 20), *([beat(("A-1", 0))] for _ in range(5)))))
    assert sums[1] == sums[0]


def test_lives_in_batches_ask_for_less() -> None:
    """Eight lives in one step need less than half of what eight steps need."""
    limits = limits_of(4, 60_000)
    apart = sum(work_of(mini_rig(limits, "A"), *asks(limits, 24)))
    together = [
        [wire for step in asks(limits, 24)[first : first + 8] for wire in step] for first in (0, 8, 16)
    ]
    assert sum(work_of(mini_rig(limits, "A"), *together)) < apart / 2
