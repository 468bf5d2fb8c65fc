"""How long calls may wait for the limits, where somebody further out knows better than the call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["bounded", "wait_at_most"]

_longest: ContextVar[float] = ContextVar("llm_fleet_longest_wait", default=float("inf"))


@contextmanager
def wait_at_most(seconds: float) -> Iterator[None]:
    """Calls and leases inside wait for the limits `seconds` at most, whatever their own timeout says.

    It follows the context: into tasks, `asyncio.run` and `llm_fleet.sync`, not into new threads.
    """
    token = _longest.set(min(seconds, _longest.get()))
    try:
        yield
    finally:
        _longest.reset(token)


def bounded(queue_timeout: float) -> float:
    """The wait that a call may have here, in seconds."""
    return min(queue_timeout, _longest.get())
