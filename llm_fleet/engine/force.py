"""Brings limits into force whatever was before, without taking part in the pool: for `config apply`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace

from ..store import Argument, Store
from .keys import PoolKeys
from .operations import Leave
from .packing import encode_call
from .registration import Known, offer
from .scripts import load_script
from .values import PoolLimits

__all__ = ["force_limits"]


async def force_limits(
    store: Store, keys: PoolKeys, limits: PoolLimits, *, ttl_s: float = 15.0
) -> Mapping[str, str]:
    """Register with `limits`, over any version and source, and leave again.

    Domain -> "applied", or "same" where they were in force already. The levels carry over.

    Raises:
        CoordinationError: Redis does not answer.
    """
    process, forced = secrets.token_hex(4), replace(limits, force=True)
    asked: list[Argument] = [process, secrets.token_hex(6), offer(forced, Known(), ttl_s, ())]
    _, epoch, fence, _, outcome, _ = await store.script(load_script("pool_register"), keys.all(), asked)
    goodbye = encode_call(process, epoch, fence, [Leave().wire(0.0)])
    await store.script(load_script("pool_step"), keys.all(), [goodbye])
    return dict(zip(outcome[::2], outcome[1::2], strict=True))
