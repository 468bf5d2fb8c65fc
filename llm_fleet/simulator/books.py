"""The books: one row for every request, newest last, and what tests and the demo read from them.

Times in the books are Unix seconds that never jump: the wall clock is read once, at the start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

from .account import Account

__all__ = ["Books", "Row"]


@dataclass(slots=True)
class Row:
    """One request. `key` is the index of the key in its account; the key itself is not kept."""

    number: int
    t: float
    dialect: str
    account: str | None = None
    key: int | None = None
    status: int = 200
    rejected_by: str | None = None
    fault: str | None = None
    model: str | None = None
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    max_output_tokens: int = 0
    complete: bool = False
    ended_t: float | None = None
    ticket: str | None = None
    fence: str | None = None


_FIELDS = tuple(field.name for field in fields(Row))


class Books:
    """Rows of the last `keep` requests, and the one place that turns moments into times of day."""

    def __init__(self, keep: int, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self.rows: deque[Row] = deque(maxlen=keep)
        self.clock = clock
        self._ahead = wall() - clock()
        self.reset()

    def reset(self) -> None:
        self.rows.clear()
        self.written = 0
        self.token_counts = 0
        self.started = self.clock()

    def wall(self, moment: float) -> float:
        """A moment of the monotonic clock as Unix seconds."""
        return moment + self._ahead

    def write(self, row: Row) -> Row:
        self.rows.append(row)
        self.written += 1
        return row

    def snapshot(self, accounts: Iterable[Account], *, requests: bool) -> dict[str, Any]:
        """All of it as plain values; `requests` False leaves the rows out."""
        now = self.clock()
        pages = {account.name: self._page(account, now) for account in accounts}
        answer: dict[str, Any] = {
            "started_at": self.wall(self.started),
            "now": self.wall(now),
            "requests_written": self.written,
            "token_counts": self.token_counts,
            "accounts": pages,
        }
        if requests:
            answer["requests"] = [{name: getattr(row, name) for name in _FIELDS} for row in self.rows]
        return answer

    def _page(self, account: Account, now: float) -> dict[str, Any]:
        page = account.report(now)
        for name, moment in (
            ("first_accepted_t", account.first_accepted),
            ("last_accepted_t", account.last_accepted),
        ):
            page[name] = None if moment is None else self.wall(moment)
        return page
