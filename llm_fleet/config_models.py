"""A provider in the config: its keys, limits and settings. Knows no file and no environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from .config_fields import (
    Amount,
    BurstSeconds,
    ChargeRule,
    Count,
    Jitter,
    Name,
    Resource,
    Seconds,
    Section,
    Temperature,
)
from .models import key_id

__all__ = [
    "SHARED_LANE",
    "AccountConfig",
    "ApiKey",
    "ProviderConfig",
    "RateLimitConfig",
    "SettingsConfig",
]

SHARED_LANE = "*"
KINDS = ("anthropic", "openai")


class ApiKey(Section):
    """One API key and the account whose limits it draws from; shown by its id only."""

    names_may_be_secret = True

    key: SecretStr
    account: Name | None = None

    @field_validator("key", mode="after")
    @classmethod
    def _sendable(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value().strip()
        if not text:
            raise ValueError("is empty; is its variable set?")
        if not text.isascii() or not text.isprintable():
            raise ValueError("holds a character that no HTTP header can carry; was more than the key pasted?")
        return SecretStr(text)

    @property
    def key_id(self) -> str:
        """The only name of the key that leaves the process."""
        return key_id(self.key.get_secret_value())

    @property
    def domain(self) -> str:
        """What its limits belong to: the account, else the key alone."""
        return self.account or self.key_id

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield "key_id", self.key_id
        yield "account", self.account


def _as_mapping(entry: object) -> object:
    """A key alone stands for `{key: …}`."""
    if isinstance(entry, str):
        return {"key": entry}
    if isinstance(entry, (dict, ApiKey)):
        return entry
    raise ValueError("must be a key in quotes, or {key: …, account: …}")


class RateLimitConfig(Section):
    """Limits of one account, or of one lane of it, as the provider states them.

    `burst_seconds`: how many seconds' worth of a minute limit may come at once, one number or
    one per resource (default 60; with `enforced_as: window` a tenth of the window).
    """

    models: Annotated[list[Name], Field(min_length=1)] | None = None
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
    def _can_be_kept(self) -> RateLimitConfig:
        if not self.amounts() and self.max_concurrent_requests is None:
            raise ValueError("sets no limit; write one (requests_per_minute: …) or drop the entry")
        if self.window_seconds is not None and self.enforced_as != "window":
            raise ValueError("window_seconds needs `enforced_as: window` beside it")
        if self.models and self.lane == SHARED_LANE:
            raise ValueError("models must not begin with '*'; for limits of all models drop `models`")
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
        """The lane of this entry: its first pattern, or `*` for all models together."""
        return self.models[0] if self.models else SHARED_LANE

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


class AccountConfig(Section):
    """Limits of one account; each takes the place of the provider's limit on the same thing."""

    rate_limits: list[RateLimitConfig] = Field(default_factory=list)


class SettingsConfig(Section):
    """Defaults of a provider's calls. Times are in seconds; `timeout` is per read.

    `count`: how input tokens are known before a call: `estimate` here, `native` by the provider
    (a request more per call), `auto`: natively where the estimate takes a tenth of a limit or more.
    """

    temperature: Temperature | None = None
    max_tokens: Amount = 4096
    timeout: Seconds = 60.0
    call_timeout: Seconds | None = None
    max_retries: Count = 3
    queue_timeout: Seconds = 300.0
    aging_seconds: Seconds = 30.0
    max_queued: Amount = 100_000
    count: Literal["native", "estimate", "auto"] = "estimate"


def _without_default(schema: dict[str, Any]) -> None:
    """The default of `kind` is the provider's name, which no schema can say."""
    schema.pop("default", None)


class ProviderConfig(Section):
    """One pool: a provider, its keys and what they may do. `name` comes from the mapping."""

    name: SkipJsonSchema[str] = ""
    kind: Literal["anthropic", "openai"] = Field("anthropic", json_schema_extra=_without_default)
    base_url: str | None = None
    api_keys: Annotated[
        list[Annotated[ApiKey, BeforeValidator(_as_mapping, json_schema_input_type=str | ApiKey)]],
        Field(min_length=1),
    ]
    accounts: dict[Name, AccountConfig] = Field(default_factory=dict)
    models: list[str] = Field(default_factory=list)
    rate_limits: list[RateLimitConfig] = Field(default_factory=list)
    settings: SettingsConfig = SettingsConfig()
    charge: dict[Resource, ChargeRule] = Field(default_factory=dict)
    trace_headers: bool = False
    _limits_source: str = PrivateAttr("")

    @model_validator(mode="before")
    @classmethod
    def _kind_is_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("kind"):
            return data
        if data.get("name") not in KINDS:
            raise ValueError("kind is missing; write what it speaks, `kind: openai` or `kind: anthropic`")
        return {**data, "kind": data["name"]}

    @field_validator("base_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("must not carry a user or password; the key belongs in api_keys")
        return url

    @field_validator("charge")
    @classmethod
    def _produced_is_output(cls, charge: dict[Resource, ChargeRule]) -> dict[Resource, ChargeRule]:
        for resource, rule in charge.items():
            if rule == "as_produced" and resource != "output_tokens":
                raise ValueError(f"{resource} cannot be charged as_produced; only output_tokens are produced")
        return charge

    @property
    def default_model(self) -> str | None:
        """The first of `models`; None when the config names none."""
        return self.models[0] if self.models else None

    def entries(self) -> list[RateLimitConfig]:
        """Every entry of limits, the accounts' own last."""
        own = [entry for account in self.accounts.values() for entry in account.rate_limits]
        return [*self.rate_limits, *own]

    def patterns(self) -> dict[str, list[str]]:
        """Lanes in the order in which they are tried: lane -> patterns of its models."""
        lanes: dict[str, list[str]] = {}
        for entry in self.entries():
            if entry.models:
                lanes.setdefault(entry.lane, entry.models)
        return lanes

    def lane(self, model: str) -> str:
        """The lane that `model` is charged to besides `*`; `*` when no pattern fits."""
        for lane, patterns in self.patterns().items():
            if any(fnmatchcase(model, pattern) for pattern in patterns):
                return lane
        return SHARED_LANE

    def domains(self) -> dict[str, str]:
        """Key id -> the domain whose limits it draws from."""
        return {key.key_id: key.domain for key in self.api_keys}

    def with_limits(self, limits: Sequence[RateLimitConfig], *, source: str) -> ProviderConfig:
        """This provider with other limits for all its accounts; `source` says whose they are."""
        changed = self.model_copy(update={"rate_limits": list(limits), "accounts": {}})
        changed._limits_source = source
        return changed

    @property
    def limits_source(self) -> str:
        """Where `rate_limits` stands: a YAML path, or who replaced it."""
        return self._limits_source or f"providers.{self.name}.rate_limits"
