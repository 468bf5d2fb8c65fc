"""Takes a key out of service for the whole fleet, and puts it back."""

from __future__ import annotations

from ..store import Store
from .keys import PoolKeys
from .scripts import load_script

__all__ = ["pause_key", "resume_key"]


async def pause_key(store: Store, keys: PoolKeys, key_id: str, reason: str, seconds: float | None) -> None:
    """No grant on this key until it is resumed, or for `seconds`; `reason` is shown by status."""
    pause_ms = 0 if seconds is None else max(1, int(seconds * 1000))
    clean = "".join(char if char >= " " and char not in '|"\\' else " " for char in reason)[:200]
    await store.script(load_script("key_switch"), keys.all()[:1], [key_id, "pause", pause_ms, clean])


async def resume_key(store: Store, keys: PoolKeys, key_id: str) -> None:
    """Grants on this key are possible again."""
    await store.script(load_script("key_switch"), keys.all()[:1], [key_id, "resume", 0, ""])
