"""pool_explain of tickets that hold something, wait in a silent process, or have ended."""

from __future__ import annotations

from typing import Any

import pytest

from llm_fleet.engine.values import Bucket, DomainLimits, LaneLimits, PoolLimits
from tests.pool_rig import beat, cancel, enqueue, mini_rig, pool_of, settle
from tests.pool_views import explain

SHARED = (
    Bucket("requests", 600, jitter_ms=0),
    Bucket("output_tokens", 6_000, jitter_ms=0, rule="as_produced"),
)
BIG = (Bucket("tokens", 60_000, period_ms=86_400_000, jitter_ms=0),)
LIMITS = PoolLimits(
    "p",
    (("k0", ("d0", "d1")),),
    (
        DomainLimits("d0", (LaneLimits("*", SHARED), LaneLimits("big", BIG))),
        DomainLimits("d1", (LaneLimits("*", (Bucket("requests", 60, jitter_ms=0),)),)),
    ),
)


def charge(domain: str, resource: int, charged: int, **others: Any) -> dict[str, Any]:
    """What a lease took of one limit."""
    plain = {"lane": "*", "tick_ms": 1, "held": 0}
    return {**plain, "domain": domain, "resource": resource, "charged": charged, **others}


def test_lease_tells_what_it_took() -> None:
    """Its key, accounts, fence and age, and of each limit what it has charged and holds."""
    rig = mini_rig(LIMITS, "A")
    rig.taken("A", enqueue("A-1", LIMITS, lane="big", tokens=(100, 300), tag="x"))
    rig.advance(700)
    rig.taken("A", beat(("A-1", 56)))
    assert explain(rig, "A-1") == {
        "state": "granted", "process": "A", "tag": "x", "lane": "big", "key": "k0", "domains": ["d0", "d1"], "fence": 1,
        "granted_ms": 700, "charges": [
            charge("d0", 1, 1), charge("d0", 3, 56, held=200), charge("d0", 4, 400, lane="big", tick_ms=1440),
            charge("d1", 1, 1),
        ],
    }  # fmt: skip


def test_expired_lease_tells_what_it_has_charged() -> None:
    """What was held counts as consumed; nothing is held any more."""
    rig = mini_rig(LIMITS, "A", "B")
    rig.taken("A", enqueue("A-1", LIMITS, tokens=(100, 300)))
    for _ in range(3):
        rig.advance(5_000)
        rig.taken("B")
    said = explain(rig, "A-1")
    assert (said["state"], said["granted_ms"]) == ("expired", 15_000)
    assert said["charges"] == [charge("d0", 1, 1), charge("d0", 3, 256), charge("d1", 1, 1)]


@pytest.mark.parametrize(("end", "state"), [(settle("A-1", 1, 1), "settled"), (cancel("A-1"), "cancelled")])
def test_ended_ticket_tells_how(end: list[Any], state: str) -> None:
    """Of what has ended only that is said; of what never was, that it is unknown."""
    rig = mini_rig(LIMITS, "A")
    rig.enqueue("A", "A-1")
    rig.taken("A", end)
    assert explain(rig, "A-1") == {"state": state}
    assert explain(rig, "A-2") == {"state": "unknown"}


ASKED: dict[str, Any] = {"tokens": (5, 6), "band": "batch", "tenant": "t", "tag": "x", "wait_ms": 60_000}


def test_waiting_ticket_tells_of_itself_and_its_keys() -> None:
    """Its band, tenant, tokens, tag and deadline, its keys, and how many of them are out of service."""
    limits = pool_of(slots=1, keys=4)
    rig = mini_rig(limits, "A")
    rig.taken("A", *(enqueue(f"A-{i}", limits) for i in range(4)))
    for key, pause_ms in (("k0", 0), ("k1", 1_000), ("k2", 1_001)):
        rig.switch(key, "pause", pause_ms)
    rig.taken("A", enqueue("A-9", limits, **ASKED))
    rig.advance(1_000)
    said = explain(rig, "A-9")
    wanted = {
        "state": "queued",
        "lane": "*",
        "band": "batch",
        "tenant": "t",
        "tag": "x",
        "input": 5,
        "output": 6,
    }
    wanted |= {"predicted": 6, "waited_ms": 1_000, "deadline_ms": 59_000, "outages": 2}
    assert {name: said[name] for name in wanted} == wanted
    assert said["keys"] == ["k0", "k1", "k2", "k3"]
    assert "silence" not in said


def test_waiting_ticket_of_a_silent_process_says_so() -> None:
    """A mailbox unread for more than 250 ms is silence, presence older than 3 s absence; neither at the edge."""
    limits = pool_of(Bucket("requests", 60_000, jitter_ms=0), slots=2)
    rig = mini_rig(limits, "A", "B")
    rig.taken("A", enqueue("A-1", limits), enqueue("A-2", limits))
    rig.taken("B", enqueue("B-1", limits), enqueue("B-2", limits))
    rig.advance(1)
    rig.taken("A", settle("A-1"))
    seen = []
    for ms in (0, 250, 1, 749, 1_000, 999):
        rig.advance(ms)
        rig.taken("A", beat(("A-2", 0)))
        seen.append(explain(rig, "B-2").get("silence"))
    assert seen == [None, None, "silent", "silent", "silent", "silent"]
    rig.advance(1)
    assert explain(rig, "B-2")["silence"] == "absent"
