"""What the simulated provider lets through, exactly: decided with a clock that is moved by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_fleet.simulator.anthropic import Anthropic, rfc3339
from llm_fleet.simulator.call import AcceptedCall
from llm_fleet.simulator.config import parse_config
from llm_fleet.simulator.dialect import Dialect
from llm_fleet.simulator.exchange import Reply
from llm_fleet.simulator.openai import OpenAI, go_duration
from llm_fleet.simulator.provider import Provider

KEY = "sk-test-not-a-real-key-1"
NOON = 1_800_014_400.0


class Desk:
    """A provider with one account, and its clock."""

    def __init__(self, dialect: Dialect, **limits: Any) -> None:
        config = parse_config({"output_tokens": 50, "accounts": {"a": {"keys": [KEY], **limits}}})
        self.dialect = dialect
        self.now = 0.0
        self.provider = Provider(config, clock=lambda: self.now, wall=lambda: NOON)

    def ask(self, input_tokens: int = 10, *, most: int = 100) -> Reply | AcceptedCall:
        text = "x" * 4 * (input_tokens - 4)
        body = {"model": "m", "max_tokens": most, "messages": [{"role": "user", "content": text}]}
        headers = {b"authorization": f"Bearer {KEY}".encode()}
        return self.provider.admit(self.dialect, headers, json.dumps(body).encode())

    def accept(self, input_tokens: int = 10, **options: Any) -> AcceptedCall:
        decision = self.ask(input_tokens, **options)
        assert isinstance(decision, AcceptedCall)
        return decision

    def refuse(self, input_tokens: int = 10, **options: Any) -> dict[str, str]:
        """The headers of a refusal."""
        decision = self.ask(input_tokens, **options)
        assert isinstance(decision, Reply)
        assert decision.status == 429
        return {name.decode(): value.decode() for name, value in decision.headers}

    def headers(self, input_tokens: int = 10) -> dict[str, str]:
        """The headers of an accepted call."""
        return {name.decode(): value.decode() for name, value in self.accept(input_tokens).headers()}

    def books(self) -> dict[str, Any]:
        page: dict[str, Any] = self.provider.report(requests=True)["accounts"]["a"]
        return page


def test_requests_are_let_through_exactly_at_their_rate() -> None:
    """12 a minute: 12 at once, then one every 5 seconds and not a moment earlier."""
    desk = Desk(Anthropic(), requests_per_minute=12)
    for _ in range(12):
        desk.accept()
    desk.now = 4.999
    desk.refuse()
    desk.now = 5.0
    desk.accept()
    assert desk.books()["rejected_by"] == {"requests": 1}


def test_windows_let_all_through_at_their_beginning() -> None:
    """60 a minute in windows of 10 seconds: 10 in each, at any of its moments."""
    desk = Desk(Anthropic(), requests_per_minute=60, enforced_as="window", window_seconds=10)
    for _ in range(10):
        desk.accept()
    desk.now = 9.99
    assert desk.refuse()["retry-after"] == "1"
    desk.now = 10.0
    for _ in range(10):
        desk.accept()


def test_input_tokens_are_charged_at_the_start() -> None:
    """600 a minute: 400 and 200 pass, the next 100 have to wait for ten seconds."""
    desk = Desk(Anthropic(), input_tokens_per_minute=600)
    desk.accept(400)
    desk.accept(200)
    assert desk.refuse(100)["retry-after"] == "10"
    desk.now = 10.0
    desk.accept(100)


def test_output_is_charged_as_it_is_produced_whatever_the_maximum() -> None:
    """A call starts while anything is left of the output limit, and may take it into debt."""
    desk = Desk(Anthropic(), output_tokens_per_minute=60)
    first, second = desk.accept(most=4096), desk.accept(most=4096)
    first.produced(50)
    desk.accept()
    second.produced(50)
    assert desk.refuse()["retry-after"] == "41"
    assert desk.books()["limits"]["output_tokens"]["available"] == -40
    desk.now = 40.01
    desk.accept()


def test_an_empty_output_bucket_refuses_a_start() -> None:
    """A start needs more than nothing in the bucket."""
    desk = Desk(Anthropic(), output_tokens_per_minute=50)
    desk.accept().produced(50)
    desk.refuse()
    assert desk.books()["rejected_by"] == {"output_tokens": 1}


def test_tokens_are_charged_with_the_maximum_and_not_given_back() -> None:
    """OpenAI's TPM: input and maximum at the request, however little comes out."""
    desk = Desk(OpenAI(), tokens_per_minute=600)
    desk.accept(100, most=400).produced(1)
    headers = desk.refuse(50, most=100)
    assert (headers["retry-after-ms"], headers["x-ratelimit-remaining-tokens"]) == ("5000", "100")
    desk.now = 5.0
    desk.accept(50, most=100)


def test_what_exceeds_the_limit_is_told_no_time_to_try_again() -> None:
    """A request larger than a whole minute's tokens could never pass."""
    desk = Desk(OpenAI(), tokens_per_minute=600)
    reply = desk.ask(500, most=101)
    assert isinstance(reply, Reply)
    assert reply.body["error"]["message"].startswith("Request too large for m")
    assert not [name for name, _ in reply.headers if name.startswith(b"retry-after")]


def test_more_than_the_bucket_but_within_the_limit_passes_when_it_is_full() -> None:
    """With a burst of 10 seconds 500 of 600 tokens pass once, and leave a debt."""
    desk = Desk(OpenAI(), tokens_per_minute=600, burst_seconds=10)
    desk.accept(100, most=400)
    assert desk.books()["limits"]["tokens"]["available"] == -400
    desk.now = 49.9
    desk.refuse(100, most=400)
    desk.now = 50.0
    desk.accept(100, most=400)


def test_requests_per_day_are_a_limit_of_their_own() -> None:
    """2 a day, whatever a minute would allow."""
    desk = Desk(OpenAI(), requests_per_minute=60, requests_per_day=2)
    desk.accept()
    desk.accept()
    desk.refuse()
    desk.now = 86_400 / 2
    desk.accept()


def test_concurrency_is_counted_from_entry_to_end() -> None:
    """A second call is refused while the first is in flight, and passes at its end."""
    desk = Desk(Anthropic(), max_concurrent_requests=1)
    with desk.accept() as call:
        desk.refuse()
        call.end(complete=True)
        with desk.accept():
            pass
    assert desk.books()["peak_concurrency"] == 1
    assert desk.books()["in_flight"] == 0


def test_a_refusal_changes_no_level_at_anthropic() -> None:
    """Refused for its input, a call costs no request."""
    desk = Desk(Anthropic(), requests_per_minute=10, input_tokens_per_minute=100)
    desk.refuse(101)
    assert desk.books()["used"] == {"requests": 0, "input_tokens": 0}


def test_a_refusal_costs_a_request_at_openai() -> None:
    """Failed requests count against requests per minute there."""
    desk = Desk(OpenAI(), requests_per_minute=10, tokens_per_minute=100)
    desk.refuse(101)
    assert desk.books()["used"] == {"requests": 1, "tokens": 0}


def test_anthropic_headers_tell_limit_rounded_rest_and_time_of_day() -> None:
    """Tokens are rounded to thousands, `reset` is when all is there again, and tokens are the sum."""
    desk = Desk(
        Anthropic(), requests_per_minute=12, input_tokens_per_minute=6000, output_tokens_per_minute=2000
    )
    headers = desk.headers(2600)
    assert {name: value for name, value in headers.items() if name.startswith("anthropic-ratelimit")} == {
        "anthropic-ratelimit-requests-limit": "12",
        "anthropic-ratelimit-requests-remaining": "11",
        "anthropic-ratelimit-requests-reset": rfc3339(NOON + 5),
        "anthropic-ratelimit-input-tokens-limit": "6000",
        "anthropic-ratelimit-input-tokens-remaining": "3000",
        "anthropic-ratelimit-input-tokens-reset": rfc3339(NOON + 26),
        "anthropic-ratelimit-output-tokens-limit": "2000",
        "anthropic-ratelimit-output-tokens-remaining": "2000",
        "anthropic-ratelimit-output-tokens-reset": rfc3339(NOON),
        "anthropic-ratelimit-tokens-limit": "8000",
        "anthropic-ratelimit-tokens-remaining": "5000",
        "anthropic-ratelimit-tokens-reset": rfc3339(NOON + 26),
    }


def test_openai_headers_tell_limit_rest_and_a_duration() -> None:
    """`reset` is the time until all is there again, as Go writes it."""
    desk = Desk(OpenAI(), requests_per_minute=12, tokens_per_minute=6000)
    headers = desk.headers(500)
    assert {name: value for name, value in headers.items() if name.startswith("x-ratelimit")} == {
        "x-ratelimit-limit-requests": "12",
        "x-ratelimit-remaining-requests": "11",
        "x-ratelimit-reset-requests": "5s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5400",
        "x-ratelimit-reset-tokens": "6s",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.02, "20ms"),
        (0.0001, "1ms"),
        (1, "1s"),
        (360, "6m0s"),
        (179.56, "2m59.56s"),
        (7205.5, "2h0m5.5s"),
    ],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    """The forms that the vendor's documentation shows."""
    assert go_duration(seconds) == text


def test_times_of_day_are_rfc_3339() -> None:
    """UTC, whole seconds, rounded up."""
    assert rfc3339(NOON + 0.2) == "2027-01-15T12:00:01Z"


def test_permitted_is_capacity_and_rate_since_the_start() -> None:
    """The books say what could have been used, until now and until the last accepted call."""
    desk = Desk(Anthropic(), requests_per_minute=60, burst_seconds=10)
    desk.now = 20.0
    desk.accept()
    desk.now = 30.0
    desk.accept()
    desk.now = 50.0
    assert desk.books()["permitted"]["requests"] == {
        "since_start": 60,
        "until_last_accepted": 40,
        "from_first_to_last_accepted": 20,
        "since_first_accepted": 40,
    }


def test_reset_fills_the_levels_and_begins_new_books() -> None:
    """After it everything counts from that moment; what is in flight still is."""
    desk = Desk(Anthropic(), requests_per_minute=2, max_concurrent_requests=9)
    with desk.accept():
        desk.accept()
        desk.now = 7.0
        desk.provider.reset()
        books = desk.books()
    assert (books["accepted"], books["in_flight"], books["peak_concurrency"]) == (0, 1, 1)
    assert books["limits"]["requests"]["available"] == 2
    assert books["permitted"]["requests"]["since_start"] == 2


def test_the_books_keep_only_the_last_requests() -> None:
    """`keep` bounds the rows, not the counters."""
    config = parse_config({"keep": 3, "accounts": {"a": {"keys": [KEY]}}})
    provider = Provider(config)
    for _ in range(5):
        provider.admit(Anthropic(), {}, b"{}")
    report = provider.report(requests=True)
    assert [row["number"] for row in report["requests"]] == [3, 4, 5]
    assert report["requests_written"] == 5
