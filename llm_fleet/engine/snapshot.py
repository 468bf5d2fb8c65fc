"""The whole fleet as Redis sees it: for `status`, for people at 3 a.m. Reads, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..store import Store
from .keys import PoolKeys
from .scripts import load_script

__all__ = ["read_fleet", "read_pool"]


async def read_pool(store: Store, keys: PoolKeys) -> dict[str, Any] | None:
    """One pool; None where no process has registered yet."""
    text = await store.script(load_script("pool_snapshot"), keys.all(), ["", "", keys.mailboxes])
    return json.loads(text) if text else None


async def read_fleet(store: Store, pools: Iterable[PoolKeys]) -> dict[str, Any]:
    """The pools by name, as `read_pool` gives them."""
    return {keys.pool: await read_pool(store, keys) for keys in pools}
