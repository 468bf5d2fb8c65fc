"""OpenAI's chat completions as the simulator speaks them. Knows the wire, decides nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from .account import Account, Denial
from .dialect import Answer, Ask, Headers, Problem, Refusal, bearer
from .tokens import count_input_tokens

__all__ = ["OpenAI", "go_duration"]

_ERROR_TYPES = {
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    429: "requests",
}
_USUAL_MESSAGES = {
    429: "Rate limit reached for requests. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}
_LIMITS = {
    "requests": ("requests", "requests per min (RPM)"),
    "requests_per_day": ("requests", "requests per day (RPD)"),
    "input_tokens": ("tokens", "input tokens per min"),
    "output_tokens": ("tokens", "output tokens per min"),
    "tokens": ("tokens", "tokens per min (TPM)"),
    "tokens_per_day": ("tokens", "tokens per day (TPD)"),
    "concurrency": ("requests", "concurrent requests"),
}
_DONE = b"data: [DONE]\n\n"


def go_duration(seconds: float) -> str:
    """A duration as Go writes it, in milliseconds rounded up: `20ms`, `1s`, `6m0s`, `2m59.56s`."""
    ms = math.ceil(round(seconds * 1000, 3))
    if ms < 1000:
        return f"{ms}ms" if ms > 0 else "0s"
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


class OpenAI:
    """Chat completions, their chunks, and `x-ratelimit-*` headers."""

    name = "openai"
    rejected_cost_a_request = True

    def api_key(self, headers: Mapping[bytes, bytes]) -> str | None:
        return bearer(headers)

    def unauthorized(self, api_key: str | None) -> Problem:
        if api_key is None:
            return Problem(401, "You didn't provide an API key.")
        shown = api_key[:3] + "*" * 12 + api_key[-4:]
        return Problem(
            401,
            f"Incorrect API key provided: {shown}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )

    def not_json(self) -> Problem:
        return Problem(400, "We could not parse the JSON body of your request.")

    def understand(self, body: Any) -> Ask:
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise Refusal(Problem(400, "you must provide a model parameter"))
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            raise Refusal(Problem(400, "Missing required parameter: 'messages'."))
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise Refusal(Problem(400, "Invalid value for 'max_completion_tokens': it must be at least 1."))
        return Ask(
            model=body["model"],
            input_tokens=count_input_tokens(body),
            max_output_tokens=limit,
            stream=bool(body.get("stream")),
            wants_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def denied(self, denial: Denial, ask: Ask) -> Problem:
        kind, words = _LIMITS[denial.resource]
        requested = max(1, int(denial.requested))
        if denial.retry_after_s is None:
            what = f"Request too large for {ask.model}"
            advice = "The input or output tokens must be reduced in order to run successfully."
        else:
            what = f"Rate limit reached for {ask.model}"
            advice = f"Please try again in {go_duration(denial.retry_after_s)}."
        used = max(0, int(denial.limit - denial.available))
        return Problem(
            429,
            f"{what} in organization org-simulated on {words}: Limit {denial.limit}, Used {used}, "
            f"Requested {requested}. {advice}",
            type=kind,
            code="rate_limit_exceeded",
        )

    def counted(self, input_tokens: int) -> dict[str, Any]:
        return {"object": "response.input_tokens", "input_tokens": input_tokens}

    def problem_body(self, problem: Problem, number: int) -> dict[str, Any]:
        usual = "server_error" if problem.status >= 500 else "invalid_request_error"
        code = problem.code or problem.type
        if problem.status == 429:
            code = code or "rate_limit_exceeded"
        message = problem.message or _USUAL_MESSAGES.get(problem.status, "Something went wrong.")
        kind = problem.type or _ERROR_TYPES.get(problem.status, usual)
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def trace_headers(self, number: int) -> Headers:
        return [
            (b"x-request-id", b"req_simulated%016d" % number),
            (b"openai-organization", b"org-simulated"),
            (b"openai-version", b"2020-10-01"),
        ]

    def limit_headers(self, account: Account, now: float, wall: float) -> Headers:
        headers: Headers = []
        for name in ("requests", "tokens"):
            level = account.levels.get(name) or account.levels.get(f"{name}_per_day")
            if level:
                remaining = b"%d" % max(0, int(level.available(now)))
                headers += [
                    (b"x-ratelimit-limit-%s" % name.encode(), b"%d" % level.limit),
                    (b"x-ratelimit-remaining-%s" % name.encode(), remaining),
                    (b"x-ratelimit-reset-%s" % name.encode(), go_duration(level.full_in(now)).encode()),
                ]
        return headers

    def retry_headers(self, seconds: float) -> Headers:
        return [
            (b"retry-after-ms", b"%d" % math.ceil(seconds * 1000)),
            (b"retry-after", b"%d" % max(1, math.ceil(seconds))),
        ]

    def whole(self, answer: Answer, text: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        return {
            "id": _completion_id(answer),
            "object": "chat.completion",
            "created": answer.created,
            "model": answer.ask.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": _finish_reason(answer),
                }
            ],
            "usage": _usage(answer),
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
        }

    def opening(self, answer: Answer) -> bytes:
        return _chunk(answer, {"role": "assistant", "content": "", "refusal": None})

    def piece(self, answer: Answer, text: str) -> bytes:
        return _chunk(answer, {"content": text})

    def closing(self, answer: Answer) -> bytes:
        end = _chunk(answer, {}, finish_reason=_finish_reason(answer))
        if answer.ask.wants_usage:
            end += _data({**_frame(answer), "choices": [], "usage": _usage(answer)})
        return end + _DONE

    def error_event(self, problem: Problem, number: int) -> bytes:
        return _data(self.problem_body(problem, number))


def _frame(answer: Answer) -> dict[str, Any]:
    return {
        "id": _completion_id(answer),
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _chunk(answer: Answer, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk = {**_frame(answer), "choices": [choice]}
    if answer.ask.wants_usage:
        chunk["usage"] = None
    return _data(chunk)


def _data(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _usage(answer: Answer) -> dict[str, Any]:
    given, produced = answer.ask.input_tokens, answer.output_tokens
    return {
        "prompt_tokens": given,
        "completion_tokens": produced,
        "total_tokens": given + produced,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _finish_reason(answer: Answer) -> str:
    return "length" if answer.cut_short else "stop"


def _completion_id(answer: Answer) -> str:
    return f"chatcmpl-simulated{answer.number:016d}"
