"""Reads a vendor's stream to its end marker. Knows no vendor: each adapter has its own `Fold`."""

from __future__ import annotations

from typing import Any, Protocol

from ..models import Call
from .adapter import Emission
from .failures import incomplete, unreadable

__all__ = ["Fold", "folded"]


class Fold(Protocol):
    """Puts the events of a stream together."""

    @property
    def complete(self) -> bool:
        """The vendor's own end marker came; without it a clean end is a broken stream."""
        ...

    @property
    def whole(self) -> Any:
        """What an answer in one piece would have been."""
        ...

    def add(self, event: Any) -> str: ...


async def folded(stream: Any, fold: Fold, emission: Emission, call: Call) -> Any:
    """Show the text of a stream as it comes; gives the whole answer. Whatever happens, it is closed."""
    try:
        async with stream:
            async for event in stream:
                text = _readable(fold, event, emission, call)
                if text:
                    await emission.show(text)
    except Exception:
        if not fold.complete:
            raise
    if not fold.complete:
        raise incomplete(call, emission)
    return fold.whole


def _readable(fold: Fold, event: Any, emission: Emission, call: Call) -> str:
    try:
        return fold.add(event)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise unreadable(call, f"an event of another shape ({type(error).__name__})", emission) from error
