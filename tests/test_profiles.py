"""What providers say in headers, read by pure functions; and the rules that are data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.errors import ConfigError
from llm_fleet.profiles import (
    RETRY_AFTER_MAX_S,
    HeaderReading,
    Parser,
    parse_amount,
    parse_epoch,
    parse_go_duration,
    parse_rfc3339,
    parse_seconds,
    profile_for,
    read_limits,
    retry_after,
)

NOON = 1_788_264_000.0
"""2026-09-01T12:00:00Z."""

ANTHROPIC, OPENAI = profile_for("anthropic"), profile_for("openai")
PARSERS = [parse_seconds, parse_epoch, parse_rfc3339, parse_go_duration]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("1h0m0.5s", 3600.5),
        ("300µs", 0.0003),
        ("0", 0.0),
        ("-3s", 0.0),
        ("12", None),
        ("s", None),
        ("1s2", None),
        ("", None),
    ],
)
def test_go_durations(text: str, seconds: float | None) -> None:
    """The durations that OpenAI writes, and nothing else."""
    assert parse_go_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-09-01T12:00:30Z", 30.0),
        ("2026-09-01T14:00:30+02:00", 30.0),
        ("2026-09-01T12:00:00.250Z", 0.25),
        ("2026-09-01T12:00:00.123456789Z", 0.123456),
        ("2026-09-01T11:59:00Z", 0.0),
        ("2026-09-01T12:00:30", None),
        ("soon", None),
    ],
)
def test_rfc_3339(text: str, seconds: float | None) -> None:
    """Moments with a zone, as seconds from now; the past is 0."""
    assert parse_rfc3339(text, NOON) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1788264012", 12.0), ("1788264012500", 12.5), ("5", 0.0), ("x", None)]
)
def test_epochs(text: str, seconds: float | None) -> None:
    """Seconds or milliseconds since 1970, as seconds from now."""
    assert parse_epoch(text, NOON) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"), [("12", 12.0), (" 0.5 ", 0.5), ("-1", 0.0), ("1e9", None), ("nan", None)]
)
def test_seconds(text: str, seconds: float | None) -> None:
    """Plain numbers of seconds."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("5000", 5000),
        ("1,200,000", 1_200_000),
        ("40.0", 40),
        ("-1", None),
        ("", None),
        ("many", None),
        ("٣", None),
    ],
)
def test_amounts(text: str, amount: int | None) -> None:
    """Numbers with or without commas."""
    assert parse_amount(text) == amount


@given(text=st.text(max_size=30), now=st.floats(0, 1e10), parser=st.sampled_from(PARSERS))
def test_no_header_can_break_a_parser(text: str, now: float, parser: Parser) -> None:
    """Any text gives seconds from 0 up, or None."""
    seconds = parser(text, now)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10**12))
def test_amounts_survive_their_commas(amount: int) -> None:
    """A number written with commas reads as itself."""
    assert parse_amount(f"{amount:,}") == amount


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), ms=st.integers(0, 59_999))
def test_go_durations_add_up(hours: int, minutes: int, ms: int) -> None:
    """Hours, minutes and seconds of a duration add up."""
    expected = hours * 3600 + minutes * 60 + ms / 1000
    assert parse_go_duration(f"{hours}h{minutes}m{ms / 1000:.3f}s") == pytest.approx(expected)


def test_the_headers_of_anthropic() -> None:
    """Three resources and their sum, each with limit, remaining and reset."""
    stem = "Anthropic-RateLimit"
    headers = {
        f"{stem}-Requests-Limit": "50",
        f"{stem}-Requests-Remaining": "49",
        f"{stem}-Requests-Reset": "2026-09-01T12:00:01Z",
        f"{stem}-Input-Tokens-Limit": "50000",
        f"{stem}-Input-Tokens-Remaining": "0",
        f"{stem}-Output-Tokens-Reset": "2026-09-01T12:00:09Z",
        "Content-Type": "application/json",
    }
    assert read_limits(ANTHROPIC, headers, NOON) == [
        HeaderReading("requests", 50, 49, 1.0),
        HeaderReading("input_tokens", 50_000, 0, None),
        HeaderReading("output_tokens", None, None, 9.0),
    ]


def test_the_headers_of_openai() -> None:
    """Requests, tokens and the project's tokens, with commas and Go durations."""
    headers = {
        "x-ratelimit-limit-requests": "10,000",
        "x-ratelimit-remaining-requests": "9,999",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-project-tokens": "7",
    }
    assert read_limits(OPENAI, headers, NOON) == [
        HeaderReading("requests", 10_000, 9_999, 360.0),
        HeaderReading("tokens", 30_000, None, None),
        HeaderReading("tokens", None, 7, None),
    ]


def test_headers_that_say_nothing_are_no_reading() -> None:
    """Without rate limit headers, or with unreadable ones, there is nothing to read."""
    assert read_limits(OPENAI, {"x-ratelimit-limit-requests": "lots"}, NOON) == []


def test_what_a_429_was_about() -> None:
    """The resource of which nothing is left; None when the headers do not tell."""
    empty = {
        "anthropic-ratelimit-requests-remaining": "3",
        "anthropic-ratelimit-output-tokens-remaining": "0",
    }
    assert ANTHROPIC.exhausted(empty) == "output_tokens"
    assert ANTHROPIC.exhausted({}) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"retry-after": "7", "retry-after-ms": "150"}, 0.15),
        ({"retry-after": "7", "retry-after-ms": "soon"}, 7.0),
        ({"retry-after": "Tue, 01 Sep 2026 12:00:42 GMT"}, 42.0),
        ({"retry-after": "Tue, 01 Sep 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "9999999"}, RETRY_AFTER_MAX_S),
        ({"retry-after": "Tue, 01 Sep 2099 12:00:00 GMT"}, RETRY_AFTER_MAX_S),
        ({"retry-after": "later"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """`retry-after-ms` before `retry-after`; seconds or an HTTP date; never below 0 or above the bound."""
    assert retry_after(headers, NOON) == pytest.approx(seconds)
    assert ANTHROPIC.retry_after(headers, NOON) == pytest.approx(seconds)


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=40)))
def test_no_retry_after_is_unbounded(headers: dict[str, str]) -> None:
    """Whatever a provider writes, the pause is bounded."""
    seconds = retry_after(headers, NOON)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_MAX_S


def test_charge_rules() -> None:
    """Anthropic adjusts input and counts output as produced; OpenAI charges all at the start."""
    assert (ANTHROPIC.charge["input_tokens"], ANTHROPIC.charge["output_tokens"]) == (
        "at_start_adjust",
        "as_produced",
    )
    assert ANTHROPIC.charge["requests"] == "at_start"
    assert set(OPENAI.charge.values()) == {"at_start"}
    assert (ANTHROPIC.cache_reads_count, OPENAI.cache_reads_count) == (False, True)


@pytest.mark.parametrize(
    ("status", "code", "may"),
    [
        (408, None, True),
        (409, None, True),
        (429, "rate_limit_exceeded", True),
        (429, "insufficient_quota", False),
        (429, "slow_down", True),
        (500, None, True),
        (529, None, True),
        (400, None, False),
        (401, None, False),
        (404, None, False),
    ],
)
def test_what_may_be_tried_again(status: int, code: str | None, may: bool) -> None:
    """Timeouts, conflicts, 429s and server faults, but not where the money is gone."""
    assert OPENAI.is_retryable(status, code) is may


def test_profiles_cannot_be_changed() -> None:
    """A profile is shared by the whole process: its tables are read-only."""
    with pytest.raises(TypeError):
        ANTHROPIC.charge["requests"] = "as_produced"  # type: ignore[index]


def test_an_unknown_kind_is_told() -> None:
    """The error names the kinds that there are."""
    with pytest.raises(ConfigError, match="'bedrock' is not known; use one of anthropic, openai"):
        profile_for("bedrock")
