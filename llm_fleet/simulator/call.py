"""A call that was let through: what it will say and when, and what becomes known as it does.

Its output is charged as it is produced; its slot is free before the client can know that it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from .account import Account, Need
from .books import Books, Row
from .config import Fault
from .dialect import Answer, Ask, Dialect, Headers
from .tokens import pieces, words

__all__ = ["AcceptedCall", "Attempt", "Step", "schedule"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that was understood, at the moment of its decision."""

    dialect: Dialect
    account: Account
    row: Row
    ask: Ask
    need: Need
    now: float


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the output: when it is due, and which words it is made of."""

    due: float
    first: int
    tokens: int

    @property
    def text(self) -> str:
        return words(self.tokens, self.first)


def schedule(tokens: int, start: float, duration: float, *, steps: int) -> list[Step]:
    """`tokens` in equal parts, evenly over `duration` seconds from `start` on."""
    planned, first = [], 0
    for index, part in enumerate(pieces(tokens, steps), start=1):
        planned.append(Step(start + duration * index / steps, first, part))
        first += part
    return planned


class AcceptedCall:
    """In flight from `with` to its end, however that comes about."""

    def __init__(
        self, attempt: Attempt, answer: Answer, steps: list[Step], *, fault: Fault | None, books: Books
    ) -> None:
        self.attempt = attempt
        self.answer = answer
        self.steps = steps
        self.fault = fault
        self.clock: Callable[[], float] = books.clock
        self._books = books
        self._in_flight = False

    def __enter__(self) -> AcceptedCall:
        self._in_flight = True
        self.attempt.account.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def produced(self, tokens: int) -> None:
        """So many more tokens exist now."""
        self.attempt.account.produce(tokens, self.clock())
        self.attempt.row.output_tokens += tokens

    def end(self, *, complete: bool = False) -> None:
        """Leave the account; to be called before the last byte is sent. Later calls change nothing."""
        if self._in_flight:
            self._in_flight = False
            self.attempt.account.leave()
            self.attempt.row.complete = complete
            self.attempt.row.ended_t = self._books.wall(self.clock())

    def headers(self) -> Headers:
        """Trace and limits as they are now."""
        attempt, now = self.attempt, self.clock()
        limits = attempt.dialect.limit_headers(attempt.account, now, self._books.wall(now))
        return attempt.dialect.trace_headers(attempt.row.number) + limits
