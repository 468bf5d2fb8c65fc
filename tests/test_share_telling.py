"""What a process tells when Redis is back, each thing once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.share.telling import Telling


class SlowStore:
    """Takes its time, and notes which keys it was told of."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def script(self, script: Any, keys: Any, args: list[Any]) -> None:
        await asyncio.sleep(0.01)
        self.told.append(args[0])


async def test_keys_out_of_service_are_told_once_though_registrations_follow_each_other() -> None:
    """A second registration while the first one's keys are still being told repeats none, and loses none."""
    store, desk = SlowStore(), SimpleNamespace(ttl_s=15.0, keys=PoolKeys("n", "p"))
    telling = Telling(desk, lambda: store)  # type: ignore[arg-type]
    for key in ("k0", "k1", "k2"):
        telling.add_outage(key, "401", None)
    for _ in range(3):
        telling.registered(is_over=True)
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    assert store.told == ["k0", "k1", "k2"]
