"""Limits as a file writes them: of an account, of a lane of it, of a tenant. Knows no provider."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from .config_fields import Amount, BurstSeconds, Jitter, Name, Resource, Seconds, Section, Weight

__all__ = [
    "SHARED_LANE",
    "AccountConfig",
    "LimitConfig",
    "RateLimitConfig",
    "TenantConfig",
    "TenantLimitConfig",
    "limit_name",
]

SHARED_LANE = "*"


class LimitConfig(Section):
    """What may pass in a minute or a day, and how it is enforced."""

    requests_per_minute: Amount | None = None
    input_tokens_per_minute: Amount | None = None
    output_tokens_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    requests_per_day: Amount | None = None
    tokens_per_day: Amount | None = None
    max_concurrent_requests: Amount | None = None
    burst_seconds: BurstSeconds = 60.0
    jitter_seconds: Jitter = 0.5
    enforced_as: Literal["bucket", "window"] = "bucket"
    window_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> LimitConfig:
        if not self.amounts() and self.max_concurrent_requests is None:
            raise ValueError("sets no limit; write one (requests_per_minute: …) or drop the entry")
        if self.window_seconds is not None and self.enforced_as != "window":
            raise ValueError("window_seconds needs `enforced_as: window` beside it")
        if self.enforced_as == "window":
            self._refuse_whole_window()
        return self

    def _refuse_whole_window(self) -> None:
        for resource, period_s in self.amounts():
            burst, window = self.burst(resource, period_s), self.window(period_s)
            if burst >= window:
                raise ValueError(
                    f"burst_seconds of {resource} is {burst:g}, the whole window of {window:g} s or more:"
                    " nothing would be left to refill; write less, or leave it out"
                )

    @property
    def lane(self) -> str:
        """`*`: all models together."""
        return SHARED_LANE

    def amounts(self) -> dict[tuple[Resource, int], int]:
        """What is limited: (resource, period in seconds) -> amount per period."""
        given: dict[tuple[Resource, int], int | None] = {
            ("requests", 60): self.requests_per_minute,
            ("input_tokens", 60): self.input_tokens_per_minute,
            ("output_tokens", 60): self.output_tokens_per_minute,
            ("tokens", 60): self.tokens_per_minute,
            ("requests", 86_400): self.requests_per_day,
            ("tokens", 86_400): self.tokens_per_day,
        }
        return {limited: amount for limited, amount in given.items() if amount is not None}

    def window(self, period_s: int) -> float:
        """Seconds of the provider's window; `window_seconds` speaks of the minute limits."""
        if period_s == 60 and self.window_seconds is not None:
            return self.window_seconds
        return float(period_s)

    def burst(self, resource: Resource, period_s: int) -> float:
        """Seconds of refill that a full bucket holds, before jitter."""
        given = self.burst_seconds if "burst_seconds" in self.model_fields_set else {}
        own = given.get(resource) if isinstance(given, dict) else given
        if period_s == 60 and own is not None:
            return own
        if self.enforced_as == "window":
            return min(self.window(period_s), period_s) / 10
        return float(period_s)


class RateLimitConfig(LimitConfig):
    """Limits of one account, or of one lane of it, as the provider states them.

    `burst_seconds`: how many seconds' worth of a minute limit may come at once, one number or
    one per resource (default 60; with `enforced_as: window` a tenth of the window).
    """

    models: Annotated[list[Name], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _lane_is_named(self) -> RateLimitConfig:
        if self.models and self.lane == SHARED_LANE:
            raise ValueError("models must not begin with '*'; for limits of all models drop `models`")
        return self

    @property
    def lane(self) -> str:
        """The lane of this entry: its first pattern, or `*` for all models together."""
        return self.models[0] if self.models else SHARED_LANE


class AccountConfig(Section):
    """Limits of one account; each takes the place of the provider's limit on the same thing."""

    rate_limits: list[RateLimitConfig] = Field(default_factory=list)


class TenantLimitConfig(LimitConfig):
    """Limits of one tenant of a provider, over all its models and accounts."""

    @model_validator(mode="before")
    @classmethod
    def _all_models(cls, data: Any) -> Any:
        if isinstance(data, dict) and "models" in data:
            remedy = "a tenant's limits hold for all models; drop it"
            raise PydanticCustomError("unknown_field", remedy, {"field": "models"})
        return data


class TenantConfig(Section):
    """One tenant: its share of the queue where others wait too, and limits of its own if it has any."""

    weight: Weight = 1.0
    rate_limits: list[TenantLimitConfig] = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_once(self) -> TenantConfig:
        seen: set[object] = set()
        for entry in self.rate_limits:
            slots = [] if entry.max_concurrent_requests is None else [("max_concurrent_requests", 0)]
            for limited in [*entry.amounts(), *slots]:
                if limited in seen:
                    raise ValueError(f"rate_limits limit {limit_name(*limited)} twice; keep one of them")
                seen.add(limited)
        return self


def limit_name(resource: str, period_s: int) -> str:
    """As in the config: `requests_per_minute`, `tokens_per_day`."""
    return resource + {60: "_per_minute", 86_400: "_per_day"}.get(period_s, "")
