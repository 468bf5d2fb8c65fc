"""What a vendor's dialect has to say, whoever the vendor is: the seam and the values across it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .account import Account, Denial

__all__ = ["Answer", "Ask", "Dialect", "Headers", "Problem", "Refusal", "bearer"]

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, understood. `max_output_tokens` None: it named no maximum."""

    model: str
    input_tokens: int
    max_output_tokens: int | None
    stream: bool = False
    wants_usage: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What will be said. `cut_short`: the maximum ended it, not the speaker."""

    number: int
    ask: Ask
    output_tokens: int
    cut_short: bool
    created: int


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, before a vendor puts it into words; `message` None: the vendor's usual one."""

    status: int
    message: str | None = None
    type: str | None = None
    code: str | None = None


class Refusal(Exception):
    """The request cannot even be considered; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def bearer(headers: Mapping[bytes, bytes]) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() or None if kind.lower() == "bearer" else None


class Dialect(Protocol):
    """One vendor's way to ask, to answer, to refuse and to tell the limits."""

    name: str
    rejected_cost_a_request: bool

    def api_key(self, headers: Mapping[bytes, bytes]) -> str | None: ...

    def unauthorized(self, api_key: str | None) -> Problem: ...

    def not_json(self) -> Problem: ...

    def understand(self, body: Any) -> Ask:
        """Read a request.

        Raises:
            Refusal: something that the vendor requires is missing or of the wrong type.
        """
        ...

    def denied(self, denial: Denial, ask: Ask) -> Problem: ...

    def counted(self, input_tokens: int) -> dict[str, Any]:
        """The answer to a request to count its input."""
        ...

    def problem_body(self, problem: Problem, number: int) -> dict[str, Any]: ...

    def trace_headers(self, number: int) -> Headers:
        """Names of the request and its account, on every answer."""
        ...

    def limit_headers(self, account: Account, now: float, wall: float) -> Headers:
        """What is left of the limits at `now`, which is `wall` in Unix seconds."""
        ...

    def retry_headers(self, seconds: float) -> Headers: ...

    def whole(self, answer: Answer, text: str) -> dict[str, Any]:
        """The answer in one piece."""
        ...

    def opening(self, answer: Answer) -> bytes:
        """The first events of a stream."""
        ...

    def piece(self, answer: Answer, text: str) -> bytes: ...

    def closing(self, answer: Answer) -> bytes:
        """The last events of a stream, with the usage and the end marker."""
        ...

    def error_event(self, problem: Problem, number: int) -> bytes: ...
