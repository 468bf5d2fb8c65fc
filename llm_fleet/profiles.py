"""What each protocol's providers do about limits, as data: charge rules, headers, what to try again.

Facts of PROVIDERS.md, and pure functions that read them out of headers; time is an argument.
Knows no SDK and no engine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from types import MappingProxyType

from .errors import ConfigError

__all__ = [
    "RETRY_AFTER_MAX_S",
    "HeaderReading",
    "HeaderRule",
    "Profile",
    "parse_amount",
    "parse_epoch",
    "parse_go_duration",
    "parse_rfc3339",
    "parse_seconds",
    "profile_for",
    "read_limits",
    "retry_after",
]

RETRY_AFTER_MAX_S = 3600.0
"""Longer pauses are cut to this: asking once an hour costs nothing, a wrong clock could cost a day."""

_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_GO_DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?(?:h|ms|m|us|µs|μs|ns|s))+|0)")
_GO_PART = re.compile(r"(\d+(?:\.\d*)?)(h|ms|m|us|µs|μs|ns|s)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_FRACTION = re.compile(r"(\.\d{6})\d+")

Parser = Callable[[str, float], float | None]
"""A header's value and the time now (seconds since the epoch) to seconds from now; None: unreadable."""


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """The headers that speak of one resource. `step`: what `remaining` is rounded to."""

    resource: str
    limit: str
    remaining: str
    reset: str
    reset_format: Parser
    step: int = 1


@dataclass(frozen=True, slots=True)
class HeaderReading:
    """What an answer's headers said of one resource; None where they said nothing readable."""

    resource: str
    limit: int | None
    remaining: int | None
    reset_s: float | None

    @property
    def says_something(self) -> bool:
        return self.limit is not None or self.remaining is not None or self.reset_s is not None


@dataclass(frozen=True, slots=True)
class Profile:
    """One protocol.

    charge             resource -> when it is charged (ENGINE.md §3)
    cache_reads_count  are tokens read from a prompt cache charged as input?
    model_classes      patterns of models that share their limits, one tuple per class
    spent_codes        the key's money or quota is gone: no retry, out of service
    spent_phrases      how such a message begins where the code does not tell
    ramp_codes         the load grew too fast: pause, then start slowly
    """

    kind: str
    charge: Mapping[str, str]
    cache_reads_count: bool
    headers: tuple[HeaderRule, ...]
    model_classes: tuple[tuple[str, ...], ...]
    spent_codes: frozenset[str]
    spent_phrases: tuple[str, ...]
    ramp_codes: frozenset[str]
    retryable_statuses: frozenset[int] = frozenset({408, 409, 429})

    def is_retryable(self, status: int, code: str | None = None) -> bool:
        """May the same request succeed later, going by status and the vendor's code?"""
        return code not in self.spent_codes and (status in self.retryable_statuses or status >= 500)

    def retry_after(self, headers: Mapping[str, str], now: float | None = None) -> float | None:
        """Seconds that the provider asks to wait; None when it does not say."""
        return retry_after(headers, time.time() if now is None else now)

    def exhausted(self, headers: Mapping[str, str]) -> str | None:
        """The resource of which the headers show nothing left: what a 429 was about."""
        readings = read_limits(self, headers, 0.0)
        return next((reading.resource for reading in readings if reading.remaining == 0), None)


def parse_amount(text: str) -> int | None:
    """`5000`, `5,000` or `5000.0` as 5000; None for anything else or less than 0."""
    plain = text.strip().replace(",", "")
    if not plain.isascii() or len(plain) > 20 or not _NUMBER.fullmatch(plain):
        return None
    amount = int(float(plain)) if "." in plain else int(plain)
    return amount if amount >= 0 else None


def parse_seconds(text: str, now: float = 0.0) -> float | None:
    """`12` or `0.5`, seconds from now."""
    plain = text.strip().replace(",", "")
    return _not_past(float(plain)) if plain.isascii() and _NUMBER.fullmatch(plain) else None


def parse_epoch(text: str, now: float) -> float | None:
    """Seconds since 1970, or milliseconds (then beyond 1e11), as seconds from now."""
    stamp = parse_seconds(text)
    if stamp is None:
        return None
    return _not_past((stamp / 1000 if stamp > 1e11 else stamp) - now)


def parse_rfc3339(text: str, now: float) -> float | None:
    """`2026-09-01T12:00:00Z` as seconds from now."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
        return _not_past(moment.timestamp() - now) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def parse_go_duration(text: str, now: float = 0.0) -> float | None:
    """`20ms`, `1s`, `6m0s` or `2m59.56s` in seconds."""
    found = _GO_DURATION.fullmatch(text.strip())
    if not found or not text.isprintable():
        return None
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(found.group(2)))
    return 0.0 if found.group(1) == "-" else _not_past(seconds)


def _not_past(seconds: float) -> float | None:
    return max(0.0, seconds) if isfinite(seconds) else None


def _parse_http_date(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text.strip())
        # A date that says no zone means GMT (RFC 9110, 5.6.7).
        return _not_past((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by `retry-after-ms`, else `retry-after` (seconds or HTTP date), within bounds."""
    plain = {name.lower(): value for name, value in headers.items()}
    asked_ms = parse_seconds(plain.get("retry-after-ms", ""))
    if asked_ms is not None:
        return min(asked_ms / 1000, RETRY_AFTER_MAX_S)
    text = plain.get("retry-after", "")
    asked = parse_seconds(text)
    if asked is None:
        asked = _parse_http_date(text, now)
    return None if asked is None else min(asked, RETRY_AFTER_MAX_S)


def read_limits(profile: Profile, headers: Mapping[str, str], now: float) -> list[HeaderReading]:
    """What an answer's headers say of the limits: a reading per resource that they mention."""
    plain = {name.lower(): value for name, value in headers.items()}
    readings = (_reading(rule, plain, now) for rule in profile.headers)
    return [reading for reading in readings if reading.says_something]


def _reading(rule: HeaderRule, headers: Mapping[str, str], now: float) -> HeaderReading:
    return HeaderReading(
        rule.resource,
        limit=parse_amount(headers.get(rule.limit, "")),
        remaining=parse_amount(headers.get(rule.remaining, "")),
        reset_s=rule.reset_format(headers.get(rule.reset, ""), now),
    )


def _anthropic_rule(resource: str, step: int) -> HeaderRule:
    stem = f"anthropic-ratelimit-{resource.replace('_', '-')}"
    return HeaderRule(resource, f"{stem}-limit", f"{stem}-remaining", f"{stem}-reset", parse_rfc3339, step)


def _openai_rule(resource: str, header: str) -> HeaderRule:
    limit, remaining, reset = (f"x-ratelimit-{what}-{header}" for what in ("limit", "remaining", "reset"))
    return HeaderRule(resource, limit, remaining, reset, parse_go_duration)


ANTHROPIC = Profile(
    kind="anthropic",
    charge=MappingProxyType(
        {
            "requests": "at_start",
            "input_tokens": "at_start_adjust",
            "output_tokens": "as_produced",
            # Input and output in one bucket is no limit of Anthropic's own; where a gateway sets one:
            "tokens": "at_start_adjust",
        }
    ),
    cache_reads_count=False,
    headers=(
        _anthropic_rule("requests", 1),
        _anthropic_rule("input_tokens", 1000),
        _anthropic_rule("output_tokens", 1000),
        # Repeats the tightest of the other two, or a workspace's own limit: asked last.
        _anthropic_rule("tokens", 1000),
    ),
    model_classes=(
        ("claude-opus-4-5*", "claude-opus-4-6*", "claude-opus-4-7*", "claude-opus-4-8*"),
        ("claude-sonnet-4-5*", "claude-sonnet-4-6*"),
        ("claude-opus-5*",),
        ("claude-sonnet-5*",),
    ),
    spent_codes=frozenset(
        {
            "contract_spend_limit_reached",
            "enforced_spend_limit_reached",
            "linked_organization_spend_limit_reached",
        }
    ),
    spent_phrases=("You have reached your specified API usage limits",),
    ramp_codes=frozenset(),
)

OPENAI = Profile(
    kind="openai",
    charge=MappingProxyType(
        {
            "requests": "at_start",
            "input_tokens": "at_start",
            "output_tokens": "at_start",
            "tokens": "at_start",
        }
    ),
    cache_reads_count=True,
    headers=(
        _openai_rule("requests", "requests"),
        _openai_rule("tokens", "tokens"),
        _openai_rule("tokens", "project-tokens"),
    ),
    model_classes=(),
    spent_codes=frozenset(
        {
            "credit_balance_exhausted",
            "insufficient_quota",
            "organization_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "project_spend_limit_exceeded",
        }
    ),
    spent_phrases=(),
    ramp_codes=frozenset({"ramp_limit_exceeded", "slow_down"}),
)

_PROFILES = MappingProxyType({profile.kind: profile for profile in (ANTHROPIC, OPENAI)})


def profile_for(kind: str) -> Profile:
    """The profile of a provider's `kind`.

    Raises: ConfigError for a kind that has none.
    """
    if kind not in _PROFILES:
        raise ConfigError(f"provider kind {kind!r} is not known; use one of {', '.join(sorted(_PROFILES))}")
    return _PROFILES[kind]
