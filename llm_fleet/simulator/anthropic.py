"""Anthropic's Messages API as the simulator speaks it. Knows the wire, decides nothing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

from .account import Account, Denial
from .dialect import Answer, Ask, Headers, Problem, Refusal, bearer
from .tokens import count_input_tokens

__all__ = ["Anthropic", "rfc3339"]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_USUAL_MESSAGES = {
    404: "Not Found",
    405: "Method Not Allowed",
    429: "This request would exceed your account's rate limit. Please try again later.",
    529: "Overloaded",
}
_LIMITS = {
    "requests": "{limit} requests per minute",
    "requests_per_day": "{limit} requests per day",
    "input_tokens": "{limit} input tokens per minute",
    "output_tokens": "{limit} output tokens per minute",
    "tokens": "{limit} tokens per minute",
    "tokens_per_day": "{limit} tokens per day",
    "concurrency": "{limit} concurrent connections",
}
_REQUIRED = {"model": str, "messages": list, "max_tokens": int}


def rfc3339(unix_s: float) -> str:
    """A time of day in UTC, rounded up to whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.ceil(unix_s)))


class Anthropic:
    """Messages, their streams, and `anthropic-ratelimit-*` headers."""

    name = "anthropic"
    rejected_cost_a_request = False

    def api_key(self, headers: Mapping[bytes, bytes]) -> str | None:
        key = headers.get(b"x-api-key")
        return bearer(headers) if key is None else key.decode("latin-1")

    def unauthorized(self, api_key: str | None) -> Problem:
        return Problem(401, "x-api-key header is required" if api_key is None else "invalid x-api-key")

    def not_json(self) -> Problem:
        return Problem(400, "The request body is not valid JSON")

    def understand(self, body: Any) -> Ask:
        if not isinstance(body, dict):
            raise Refusal(Problem(400, "Input should be a valid dictionary"))
        for field, kind in _REQUIRED.items():
            _require(body, field, kind)
        return Ask(
            model=body["model"],
            input_tokens=count_input_tokens(body),
            max_output_tokens=body["max_tokens"],
            stream=bool(body.get("stream")),
        )

    def denied(self, denial: Denial, ask: Ask) -> Problem:
        limit = _LIMITS[denial.resource].format(limit=f"{denial.limit:,}")
        return Problem(
            429,
            f"This request would exceed your organization's rate limit of {limit} "
            f"(org: simulated, model: {ask.model}). For details, refer to: "
            "https://docs.claude.com/en/api/rate-limits.",
        )

    def counted(self, input_tokens: int) -> dict[str, Any]:
        return {"input_tokens": input_tokens}

    def problem_body(self, problem: Problem, number: int) -> dict[str, Any]:
        kind = problem.type or _ERROR_TYPES.get(problem.status, "api_error")
        message = problem.message or _USUAL_MESSAGES.get(problem.status, "Internal server error")
        error: dict[str, Any] = {"type": kind, "message": message}
        if problem.code:
            error["details"] = {"error_code": problem.code}
        return {"type": "error", "error": error, "request_id": _request_id(number)}

    def trace_headers(self, number: int) -> Headers:
        return [
            (b"request-id", _request_id(number).encode()),
            (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
        ]

    def limit_headers(self, account: Account, now: float, wall: float) -> Headers:
        headers: Headers = []
        limit, remaining, full_in = 0, 0.0, 0.0
        for resource, name in (("input_tokens", "input-tokens"), ("output_tokens", "output-tokens")):
            if level := account.levels.get(resource):
                left, wait = level.available(now), level.full_in(now)
                headers += _limit(name, level.limit, _thousands(left, level.limit), wall + wait)
                limit, remaining, full_in = limit + level.limit, remaining + left, max(full_in, wait)
        if limit:
            headers += _limit("tokens", limit, _thousands(remaining, limit), wall + full_in)
        if requests := account.levels.get("requests"):
            left, wait = requests.available(now), requests.full_in(now)
            headers += _limit("requests", requests.limit, max(0, int(left)), wall + wait)
        return headers

    def retry_headers(self, seconds: float) -> Headers:
        return [(b"retry-after", b"%d" % max(1, math.ceil(seconds)))]

    def whole(self, answer: Answer, text: str) -> dict[str, Any]:
        return {
            "id": _message_id(answer.number),
            "type": "message",
            "role": "assistant",
            "model": answer.ask.model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": _stop_reason(answer),
            "stop_sequence": None,
            "usage": _usage(answer, answer.output_tokens),
        }

    def opening(self, answer: Answer) -> bytes:
        message = self.whole(answer, "")
        message |= {"content": [], "stop_reason": None, "usage": _usage(answer, 1)}
        block = {"type": "text", "text": ""}
        return (
            _event("message_start", message=message)
            + _event("content_block_start", index=0, content_block=block)
            + _event("ping")
        )

    def piece(self, answer: Answer, text: str) -> bytes:
        return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    def closing(self, answer: Answer) -> bytes:
        end = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        return (
            _event("content_block_stop", index=0)
            + _event("message_delta", delta=end, usage=_usage(answer, answer.output_tokens))
            + _event("message_stop")
        )

    def error_event(self, problem: Problem, number: int) -> bytes:
        return _event("error", **{**self.problem_body(problem, number), "type": "error"})


def _require(body: dict[str, Any], field: str, kind: type[Any]) -> None:
    if field not in body:
        raise Refusal(Problem(400, f"{field}: Field required"))
    value: Any = body[field]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Refusal(Problem(400, f"{field}: Input should be a valid {kind.__name__}"))
    if field == "max_tokens" and value < 1:
        raise Refusal(Problem(400, "max_tokens: must be greater than or equal to 1"))
    if field == "messages" and not value:
        raise Refusal(Problem(400, "messages: at least one message is required"))


def _event(event: str, **data: Any) -> bytes:
    return f"event: {event}\ndata: {json.dumps({'type': event, **data})}\n\n".encode()


def _usage(answer: Answer, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": answer.ask.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _stop_reason(answer: Answer) -> str:
    return "max_tokens" if answer.cut_short else "end_turn"


def _thousands(amount: float, limit: int) -> int:
    return max(0, min(limit, round(amount / 1000) * 1000))


def _limit(name: str, limit: int, remaining: int, full_at: float) -> Headers:
    prefix = f"anthropic-ratelimit-{name}".encode()
    return [
        (prefix + b"-limit", b"%d" % limit),
        (prefix + b"-remaining", b"%d" % remaining),
        (prefix + b"-reset", rfc3339(full_at).encode()),
    ]


def _message_id(number: int) -> str:
    return f"msg_simulated{number:016d}"


def _request_id(number: int) -> str:
    return f"req_simulated{number:016d}"
