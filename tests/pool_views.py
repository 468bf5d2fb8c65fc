"""What tests look at in a pool: what its scripts say of a ticket, and what a step granted."""

from __future__ import annotations

import json
from typing import Any

from llm_fleet.engine.values import Bucket
from tests.pool_rig import Answer, Rig

__all__ = ["AMPLE", "SECOND", "explain", "granted", "grants_in_turn"]

SECOND = Bucket("requests", 60, burst_ms=1_000, jitter_ms=0)
AMPLE = Bucket("requests", 60_000, jitter_ms=0)


def explain(rig: Rig, ticket: str) -> dict[str, Any]:
    """What the script says of a ticket."""
    return dict(json.loads(rig.call("pool_explain", ticket)))


def granted(answer: Answer) -> list[str]:
    """The older tickets that a step granted to its caller."""
    return [grant[0] for grant in answer.grants]


def grants_in_turn(rig: Rig, count: int) -> list[str]:
    """What A is granted second by second."""
    order = []
    for _ in range(count):
        rig.advance(1_000)
        order += granted(rig.taken("A"))
    return order
