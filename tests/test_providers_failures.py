"""The table of failures: what each vendor's server does, and the error that a call ends with."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from llm_fleet.errors import (
    KeyRefused,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    StreamInterrupted,
    Throttled,
)
from llm_fleet.models import Call, Message, MessageRole
from llm_fleet.providers import KINDS, adapter_for
from tests.provider_server import Lease, Reader, Server, event_stream, json_answer, reset, serving, stall

KEY = "sk-test-not-a-real-key-1"
PROMPT = "My secret recipe needs two spoons of cardamom."


@dataclass(frozen=True, slots=True)
class Row:
    """What the server answers, and what becomes of it."""

    kind: str
    status: int
    code: str | None
    expected: type[ProviderError]
    retryable: bool
    said: str = "No."
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    resource: str | None = None
    error_type: str | None = None

    def __str__(self) -> str:
        extra = "-".join([*self.headers, self.said if self.said != "No." else ""])[:40]
        return f"{self.kind}-{self.status}-{self.code or self.error_type}-{extra}"

    def body(self) -> dict[str, Any]:
        if self.kind == "openai":
            return {"error": {"message": self.said, "type": self.error_type, "code": self.code}}
        details = {"error_code": self.code} if self.code else None
        kind = self.error_type or "some_error"
        return {"type": "error", "error": {"type": kind, "message": self.said, "details": details}}


def both(status: int, expected: type[ProviderError], retryable: bool, **fields: Any) -> list[Row]:
    return [Row(kind, status, None, expected, retryable, **fields) for kind in KINDS]


INSISTS = {"x-should-retry": "true"}

ROWS = [
    *both(400, RequestRefused, False),
    *both(401, KeyRefused, False),
    *both(402, KeyRefused, False),
    *both(403, KeyRefused, False),
    *both(404, RequestRefused, False),
    *both(408, ProviderUnavailable, True),
    *both(409, ProviderUnavailable, True),
    *both(413, RequestRefused, False, headers=INSISTS),
    *both(422, RequestRefused, False),
    *both(429, Throttled, True),
    *both(500, ProviderUnavailable, True),
    *both(503, ProviderUnavailable, True, headers={"retry-after": "4"}, retry_after=4.0),
    *both(529, ProviderUnavailable, True),
    *both(429, RequestRefused, False, said="Request too large for this model: Limit 30000, Requested 40000."),
    *both(429, Throttled, False, headers={"x-should-retry": "false"}),
    *both(400, RequestRefused, True, headers=INSISTS),
    *both(429, Throttled, True, headers={"retry-after-ms": "250", "retry-after": "9"}, retry_after=0.25),
    *both(429, Throttled, True, headers={"retry-after": "1.5"}, retry_after=1.5),
    *both(429, Throttled, True, headers={"retry-after": "999999"}, retry_after=3600.0),
    *both(429, Throttled, True, headers={"retry-after": "soon"}),
    Row("anthropic", 429, "enforced_spend_limit_reached", KeyRefused, False, headers=INSISTS),
    Row("anthropic", 429, "contract_spend_limit_reached", KeyRefused, False),
    Row("anthropic", 429, "ramp_limit_exceeded", Throttled, True),
    Row(
        "anthropic", 400, None, KeyRefused, False,
        said="You have reached your specified API usage limits. You will regain access on 2026-12-01.",
    ),
    Row(
        "anthropic", 429, None, Throttled, True, resource="input_tokens",
        headers={
            "anthropic-ratelimit-requests-remaining": "12",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-remaining": "0",
        },
    ),
    Row(
        "openai", 429, "rate_limit_exceeded", Throttled, True, resource="tokens",
        headers={"x-ratelimit-remaining-requests": "3", "x-ratelimit-remaining-tokens": "0"},
    ),
    Row("openai", 429, None, Throttled, True, headers={"x-ratelimit-remaining-tokens": "1,200"}),
    *(
        Row("openai", 429, code, KeyRefused, False)
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_usage_limit_exceeded",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
        )
    ),
    Row("openai", 429, "ramp_limit_exceeded", Throttled, True),
    Row("openai", 503, "slow_down", Throttled, True),
]  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


async def failure(kind: str, base_url: str, sink: Reader | None = None) -> ProviderError:
    """The error that a call ends with."""
    adapter = adapter_for(kind)
    model = "gpt-6-luna" if kind == "openai" else "claude-haiku-5-5"
    call = Call("pool", model, (Message(MessageRole.USER, PROMPT),), 16, sink=sink, lease=Lease())
    sdk = adapter.open_client(api_key=KEY, base_url=base_url, timeout=0.2)
    try:
        with pytest.raises(ProviderError) as caught:
            await adapter.complete(sdk, call)
    finally:
        await adapter.close_client(sdk)
    return caught.value


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_an_answer_of_the_table(server: Server, row: Row) -> None:
    """Class, retryable, retry_after and resource are those of the row; it is sent once only."""
    server.says(json_answer(row.body(), row.status, row.headers))
    error = await failure(row.kind, server.url)
    assert type(error) is row.expected
    for name in ("status", "retryable", "retry_after", "resource"):
        assert getattr(error, name) == getattr(row, name), name
    assert (error.provider, error.key_id) == ("pool", Lease.key_id)
    assert len(server.asked) == 1


@pytest.mark.parametrize("row", [row for row in ROWS if row.code], ids=str)
async def test_the_code_is_the_vendors_own_word(server: Server, row: Row) -> None:
    """The most exact name that the provider gave is kept, and is in the message."""
    server.says(json_answer(row.body(), row.status, row.headers))
    error = await failure(row.kind, server.url)
    assert error.code == row.code
    assert row.code in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_listening_is_retryable(kind: str) -> None:
    """A refused connection has no status; the message says what to check."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = await failure(kind, url)
    assert type(error) is ProviderUnavailable
    assert (error.status, error.retryable, error.usage) == (None, True, None)
    assert "check the network and `base_url`" in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [stall, reset], ids=["timeout", "reset"])
async def test_no_answer_is_retryable(server: Server, kind: str, step: Any) -> None:
    """A timeout or a reset before the headers is a failure without a status."""
    server.says(step)
    error = await failure(kind, server.url)
    assert type(error) is ProviderUnavailable
    assert (error.status, error.retryable) == (None, True)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_where_json_was_promised_is_unavailable(server: Server, kind: str) -> None:
    """A proxy's error page with the wrong content type does not end in a JSON error."""
    server.says(json_answer("<html>", headers={"content-type": "application/json"}))
    error = await failure(kind, server.url)
    assert type(error) is ProviderUnavailable
    assert error.retryable


ANTHROPIC_START = {
    "type": "message_start",
    "message": {"role": "assistant", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}},
}
ANTHROPIC_TEXT = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
]
OPENAI_START = {"id": "c", "model": "m", "created": 1, "choices": []}
OPENAI_TEXT = [OPENAI_START | {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}]


def error_event(kind: str, code: Any) -> dict[str, Any]:
    if kind == "anthropic":
        return {"type": "error", "error": {"type": code, "message": "No."}}
    return {"error": {"message": "No.", "code": code, "type": None}}


@pytest.mark.parametrize(
    ("kind", "code", "expected", "retryable"),
    [
        ("anthropic", "overloaded_error", ProviderUnavailable, True),
        ("anthropic", "api_error", ProviderUnavailable, True),
        ("anthropic", "rate_limit_error", Throttled, True),
        ("anthropic", "invalid_request_error", RequestRefused, False),
        ("anthropic", "authentication_error", KeyRefused, False),
        ("anthropic", "never_heard_of", ProviderUnavailable, True),
        ("openai", "server_error", ProviderUnavailable, True),
        ("openai", "rate_limit_exceeded", Throttled, True),
        ("openai", "insufficient_quota", KeyRefused, False),
        ("openai", "context_length_exceeded", RequestRefused, False),
        ("openai", 502, ProviderUnavailable, True),
        ("openai", 429, Throttled, True),
        ("openai", "never_heard_of", ProviderUnavailable, True),
    ],
)
async def test_an_error_event_before_text(
    server: Server, kind: str, code: Any, expected: type[ProviderError], retryable: bool
) -> None:
    """Inside a stream the type or code stands for the status."""
    start = ANTHROPIC_START if kind == "anthropic" else OPENAI_START
    server.says(event_stream(start, error_event(kind, code)))
    error = await failure(kind, server.url, sink=Reader())
    assert type(error) is expected
    assert error.retryable is retryable
    assert error.code == str(code)


@pytest.mark.parametrize(("kind", "code"), [("anthropic", "overloaded_error"), ("openai", "server_error")])
async def test_an_error_event_after_text_interrupts_the_stream(server: Server, kind: str, code: str) -> None:
    """The code is kept; there is no second attempt."""
    start = [ANTHROPIC_START, *ANTHROPIC_TEXT] if kind == "anthropic" else OPENAI_TEXT
    server.says(event_stream(*start, error_event(kind, code)))
    error = await failure(kind, server.url, sink=Reader())
    assert isinstance(error, StreamInterrupted)
    assert (error.text, error.code, error.retryable) == ("Hello", code, False)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_providers_words_are_quoted(server: Server, kind: str) -> None:
    """What is wrong with a request is said by the provider; the message also says what to do."""
    row = Row(kind, 400, None, RequestRefused, False, said="max_tokens: 99 is above the model's 64")
    server.says(json_answer(row.body(), 400))
    message = str(await failure(kind, server.url))
    assert "max_tokens: 99 is above the model's 64" in message
    assert "change it" in message
    assert Lease.key_id in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize("said", [f"Incorrect API key provided: {KEY}.", f"Bad input: {PROMPT}"])
async def test_no_message_holds_a_key_or_a_prompt(server: Server, kind: str, status: int, said: str) -> None:
    """Providers repeat what they were sent; our messages do not."""
    server.says(json_answer(Row(kind, status, None, RequestRefused, False, said=said).body(), status))
    message = str(await failure(kind, server.url))
    assert KEY not in message
    assert "cardamom" not in message
