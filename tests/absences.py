"""What tests of absences of Redis ask a fleet: is it alone, is it back, what is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.values import Settlement
from tests.fleets import lease_of

__all__ = ["DONE", "back", "is_alone", "place_of", "placed", "state_of", "until"]

DONE = Settlement(1, 1)


async def placed(member: Fleet) -> None:
    """One call, and a moment: it takes part, and was told its place."""
    (await lease_of(member)).settle(DONE)
    await until(lambda: bool(place_of(member)))


async def until(is_true: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        found = is_true()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


def is_alone(member: Fleet) -> bool:
    return member.runtime().desks["p"].away.is_active


async def back(member: Fleet) -> None:
    """Redis has heard of everything."""
    await until(lambda: not is_alone(member) and member.runtime().desks["p"].steps.outage is None)
    await asyncio.sleep(0.1)


async def state_of(member: Fleet) -> dict[str, Any]:
    return (await member.status())["p"]


def place_of(member: Fleet) -> Any:
    """Its place in the fleet, as it was last told; None before that."""
    return member.runtime().desks["p"].away._place
