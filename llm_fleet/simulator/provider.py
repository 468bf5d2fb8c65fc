"""The simulated provider: decides about every request at one moment, before anything is answered."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from .account import Account, Denial, Need
from .books import Books, Row
from .call import AcceptedCall, Attempt, Step, schedule
from .config import Fault, SimulatorConfig
from .dialect import Answer, Dialect, Headers, Problem, Refusal
from .exchange import Reply
from .faults import Faults
from .tokens import count_input_tokens

__all__ = ["Provider"]


class Provider:
    """Accounts, limits, faults and books of one simulated provider."""

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.books = Books(config.keep, clock, wall)
        self.faults = Faults(config.faults, Random(f"{config.seed} faults"))
        self._lengths = Random(f"{config.seed} lengths")
        self._latencies = Random(f"{config.seed} latencies")
        self._numbers = itertools.count(1)
        started = self.books.started
        self._accounts = [Account(name, each, started) for name, each in config.accounts.items()]
        self._owners = {
            key: (account, index)
            for account in self._accounts
            for index, key in enumerate(config.accounts[account.name].keys)
        }

    def reset(self) -> None:
        """Full levels and empty books. The faults stay, and so does what is in flight."""
        self.books.reset()
        for account in self._accounts:
            account.reset(self.books.started)

    def report(self, *, requests: bool) -> dict[str, Any]:
        """The books as plain values."""
        return self.books.snapshot(self._accounts, requests=requests)

    def admit(self, dialect: Dialect, headers: Mapping[bytes, bytes], body: bytes) -> Reply | AcceptedCall:
        """Refuse a call, fail it, or let it through."""
        now = self.books.clock()
        row = self.books.write(Row(next(self._numbers), self.books.wall(now), dialect.name))
        row.ticket = _text(headers.get(b"x-llm-fleet-ticket"))
        row.fence = _text(headers.get(b"x-llm-fleet-fence"))
        try:
            attempt = self._understand(dialect, headers, body, row=row, now=now)
            decision = self._decide(attempt)
        except Refusal as refusal:
            decision = _say(dialect, row.number, refusal.problem)
        if isinstance(decision, Reply):
            row.status, row.ended_t = decision.status, row.t
        return decision

    def count(self, dialect: Dialect, headers: Mapping[bytes, bytes], body: bytes) -> Reply:
        """Count a request's input: not limited, and in the books only as a number."""
        number = next(self._numbers)
        self.books.token_counts += 1
        try:
            self._owner(dialect, headers)
            tokens = count_input_tokens(_parse(dialect, body))
        except Refusal as refusal:
            return _say(dialect, number, refusal.problem)
        return Reply(200, dialect.counted(tokens), dialect.trace_headers(number))

    def _understand(
        self, dialect: Dialect, headers: Mapping[bytes, bytes], body: bytes, *, row: Row, now: float
    ) -> Attempt:
        account, row.key = self._owner(dialect, headers)
        row.account = account.name
        ask = dialect.understand(_parse(dialect, body))
        need = Need(ask.input_tokens, ask.max_output_tokens or self.config.default_max_tokens)
        row.model, row.stream = ask.model, ask.stream
        row.input_tokens, row.max_output_tokens = need.input_tokens, need.max_output_tokens
        return Attempt(dialect, account, row, ask, need, now)

    def _owner(self, dialect: Dialect, headers: Mapping[bytes, bytes]) -> tuple[Account, int]:
        key = dialect.api_key(headers)
        if key is None or key not in self._owners:
            raise Refusal(dialect.unauthorized(key))
        return self._owners[key]

    def _decide(self, attempt: Attempt) -> Reply | AcceptedCall:
        denial = attempt.account.denial(attempt.need, attempt.now)
        if denial is not None:
            return self._deny(attempt, denial)
        fault = self.faults.strike(attempt.account.name, attempt.ask.stream)
        if fault is not None:
            attempt.row.fault = fault.kind
            attempt.account.faults[fault.kind] += 1
        if fault is None or fault.status is None or fault.is_charged:
            attempt.account.charge(attempt.need, attempt.now)
        if fault is not None and fault.status is not None:
            return self._fail(attempt, fault, fault.status)
        answer = self._answer(attempt)
        return AcceptedCall(
            attempt, answer, self._plan(attempt, answer, fault), fault=fault, books=self.books
        )

    def _deny(self, attempt: Attempt, denial: Denial) -> Reply:
        dialect = attempt.dialect
        attempt.account.reject(denial, attempt.now, costs_a_request=dialect.rejected_cost_a_request)
        attempt.row.rejected_by = denial.resource
        headers = self._limits(attempt)
        if denial.retry_after_s is not None:
            headers += dialect.retry_headers(denial.retry_after_s)
        return _say(dialect, attempt.row.number, dialect.denied(denial, attempt.ask), headers)

    def _fail(self, attempt: Attempt, fault: Fault, status: int) -> Reply:
        headers = self._limits(attempt) if status == 429 else []
        if fault.retry_after_s is not None:
            headers.append((b"retry-after", f"{fault.retry_after_s:g}".encode()))
        headers += [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
        problem = Problem(status, fault.message, fault.error_type, fault.error_code)
        reply = _say(attempt.dialect, attempt.row.number, problem, headers)
        return Reply(status, reply.body, reply.headers, fault.seconds or 0.0)

    def _limits(self, attempt: Attempt) -> Headers:
        wall = self.books.wall(attempt.now)
        return attempt.dialect.limit_headers(attempt.account, attempt.now, wall)

    def _answer(self, attempt: Attempt) -> Answer:
        wanted = max(1, round(self.config.output_tokens.draw(self._lengths)))
        most = attempt.need.max_output_tokens
        created = int(attempt.row.t)
        return Answer(attempt.row.number, attempt.ask, min(wanted, most), wanted > most, created)

    def _plan(self, attempt: Attempt, answer: Answer, fault: Fault | None) -> list[Step]:
        duration = self.config.latency_s.draw(self._latencies)
        duration += answer.output_tokens * self.config.seconds_per_output_token
        if fault is not None and fault.kind == "latency":
            duration += fault.seconds or 0.0
        visible = attempt.ask.stream or fault is not None or "output_tokens" in attempt.account.levels
        steps = min(self.config.chunks, answer.output_tokens) if visible else 1
        return schedule(answer.output_tokens, attempt.now, duration, steps=steps)


def _say(dialect: Dialect, number: int, problem: Problem, headers: Headers | None = None) -> Reply:
    body = dialect.problem_body(problem, number)
    return Reply(problem.status, body, dialect.trace_headers(number) + (headers or []))


def _parse(dialect: Dialect, body: bytes) -> Any:
    try:
        parsed = json.loads(body)
    except ValueError:
        raise Refusal(dialect.not_json()) from None
    if not isinstance(parsed, dict):
        raise Refusal(dialect.not_json())
    return parsed


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
