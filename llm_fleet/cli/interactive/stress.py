"""Many calls at once, and what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from rich.text import Text

from ...errors import LLMFleetError
from ...models import Response
from ..render import duration, one_line, open_console, sentences, some_of

__all__ = ["Stress", "print_stress"]


@dataclass(slots=True)
class Stress:
    """What became of `count` calls that began together."""

    count: int
    started: float = field(default_factory=time.monotonic)
    responses: list[Response] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)
    errors: list[LLMFleetError] = field(default_factory=list)

    async def watch(self, call: Awaitable[Response]) -> None:
        """Wait for one of the calls; its failure is a result too."""
        try:
            self.responses.append(await call)
            self.latencies_s.append(time.monotonic() - self.started)
        except LLMFleetError as error:
            self.errors.append(error)


def print_stress(stress: Stress) -> None:
    """How many were answered, how long that took, who waited, and each kind of failure once."""
    console, took = open_console(), duration(time.monotonic() - stress.started)
    answered, failed = len(stress.responses), len(stress.errors)
    again = sum(response.attempts > 1 for response in stress.responses)
    text = f"{stress.count} calls in {took}: {answered} answered, {failed} failed, {again} tried again"
    console.print(Text(text, "green" if not failed else "yellow"), soft_wrap=True)
    if answered:
        waits = [response.queued_s for response in stress.responses]
        keys = Counter(response.key_id for response in stress.responses)
        shares = some_of((f"{key} {calls}" for key, calls in keys.most_common()), 8)
        spans = f"answered after {_spread(stress.latencies_s)}; in the queue {_spread(waits)}"
        console.print(Text(f"{spans}\nby key: {shares}", "dim"), soft_wrap=True)
    if failed:
        console.print(sentences(_kinds(stress.errors), style="red"))


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    middle, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
    return f"p50 {duration(middle)}, p95 {duration(late)}, at most {duration(ordered[-1])}"


def _kinds(errors: Sequence[LLMFleetError]) -> list[str]:
    first = {type(error).__name__: error for error in reversed(errors)}
    counts = Counter(type(error).__name__ for error in errors)
    return [f"{counts[kind]} {kind}: {one_line(error)}" for kind, error in first.items()]
