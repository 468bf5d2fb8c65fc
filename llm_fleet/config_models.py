"""The sections of the config as pydantic models. Knows no file and no environment."""

from __future__ import annotations

import difflib
import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from .models import key_id

__all__ = [
    "AccountConfig",
    "ApiKey",
    "ChargeRule",
    "GlobalConfig",
    "PoolConfig",
    "ProviderConfig",
    "RateLimitConfig",
    "RedisConfig",
    "Resource",
    "Section",
    "SettingsConfig",
    "closest",
    "name_problem",
]

Resource: TypeAlias = Literal["requests", "input_tokens", "output_tokens", "tokens"]
ChargeRule: TypeAlias = Literal["at_start", "at_start_adjust", "as_produced"]
SHARED_LANE = "*"
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")


def closest(word: str, known: list[str]) -> str:
    """The remedy for a name that is not known: the nearest one, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def name_problem(name: str) -> str | None:
    """Why `name` cannot name a provider, account, lane, tenant or tag; None when it can."""
    if not name or len(name) > 200:
        return "must have 1 to 200 characters"
    if "|" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        return "must not contain '|' or control characters"
    return None


def _checked_name(name: str) -> str:
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    return name


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Name: TypeAlias = Annotated[str, AfterValidator(_checked_name)]
Count: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Amount: TypeAlias = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=150_000_000_000)]
Seconds: TypeAlias = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=86_400 * 366, allow_inf_nan=False)]


class Section(BaseModel):
    """A mapping of the config: frozen, its own fields only, a field left empty is not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)
    names_may_be_secret: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _own_fields_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = [field.alias or name for name, field in cls.model_fields.items() if name != "name"]
        allowed = {*known, *cls.model_fields}
        unknown = [str(name) for name in data if name not in allowed]
        if unknown and cls.names_may_be_secret:
            raise PydanticCustomError("unknown_field", "an unknown field; known here: " + ", ".join(known))
        if unknown:
            raise PydanticCustomError(
                "unknown_field", "unknown field; " + closest(unknown[0], known), {"field": unknown[0]}
            )
        return {name: value for name, value in data.items() if value is not None}


class GlobalConfig(Section):
    """`global`: which provider is meant when none is named, and what is logged."""

    default_provider: str | None = None
    enable_logging: bool = True
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
        BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
    ] = "INFO"
    metrics_enabled: bool = True
    log_bodies: bool = False


class ApiKey(Section):
    """One API key and the account whose limits it draws from; shown by its id only."""

    names_may_be_secret = True

    key: SecretStr
    account: Name | None = None

    @model_validator(mode="after")
    def _sendable(self) -> ApiKey:
        text = self.key.get_secret_value()
        if not text.strip():
            raise ValueError("is empty; is its variable set?")
        if not text.isascii() or not text.isprintable():
            raise ValueError("holds a character that no HTTP header can carry; was more than the key pasted?")
        return self

    @property
    def key_id(self) -> str:
        """The only name of the key that leaves the process."""
        return key_id(self.key.get_secret_value())

    @property
    def domain(self) -> str:
        """What its limits belong to: the account, else the key alone."""
        return self.account or self.key_id

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [("key_id", self.key_id), ("account", self.account)]


def _as_mapping(entry: object) -> object:
    """A key alone stands for `{key: …}`; blanks and line ends around it are no part of it."""
    if isinstance(entry, str):
        return {"key": entry.strip()}
    if isinstance(entry, dict) and isinstance(entry.get("key"), str):
        return {**entry, "key": entry["key"].strip()}
    if isinstance(entry, (dict, ApiKey)):
        return entry
    raise ValueError("must be a key in quotes, or {key: …, account: …}")


class RateLimitConfig(Section):
    """Limits of one account (or of one lane of it), as the provider states them.

    `burst_seconds`: how much of a minute's limit may come at once, a number or one per
    resource. With `enforced_as: window` the default is a tenth of the window.
    """

    models: Annotated[list[Name], Field(min_length=1)] | None = None
    requests_per_minute: Amount | None = None
    input_tokens_per_minute: Amount | None = None
    output_tokens_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    requests_per_day: Amount | None = None
    tokens_per_day: Amount | None = None
    max_concurrent_requests: Amount | None = None
    burst_seconds: Annotated[
        dict[Resource, Seconds],
        BeforeValidator(lambda burst: burst if isinstance(burst, dict) else dict.fromkeys(get_args(Resource), burst),
                        json_schema_input_type=Seconds | dict[Resource, Seconds]),
    ] = Field(default_factory=dict)
    jitter_seconds: Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=60)] = 0.5
    enforced_as: Literal["bucket", "window"] = "bucket"
    window_seconds: Seconds | None = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> RateLimitConfig:
        if not self.amounts() and self.max_concurrent_requests is None:
            raise ValueError("sets no limit; write one (requests_per_minute: …) or drop the entry")
        if self.window_seconds is not None and self.enforced_as != "window":
            raise ValueError("window_seconds needs `enforced_as: window`")
        if self.models and self.models[0] == SHARED_LANE:
            raise ValueError("models must not begin with '*': leave `models` out for limits of all models together")
        for resource, burst in self.burst_seconds.items() if self.enforced_as == "window" else ():
            if burst >= self.window():
                raise ValueError(
                    f"burst_seconds of {resource} ({burst:g}) must be below the window ({self.window():g} s)"
                )
        return self

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
        return {key: amount for key, amount in given.items() if amount is not None}

    def window(self, period_s: int = 60) -> float:
        """Length of the provider's window; `window_seconds` speaks of the minute limits."""
        return self.window_seconds or 60.0 if period_s == 60 else float(period_s)

    def burst(self, resource: Resource, period_s: int = 60) -> float:
        """Seconds of refill that a full bucket holds."""
        if period_s == 60 and resource in self.burst_seconds:
            return self.burst_seconds[resource]
        if self.enforced_as == "window":
            return min(self.window(period_s), period_s) / 10
        return float(period_s)


class AccountConfig(Section):
    """Limits that only one account has; each takes the place of the provider's for the same thing."""

    rate_limits: list[RateLimitConfig] = Field(default_factory=list)


class SettingsConfig(Section):
    """Defaults of a provider's calls. Times are in seconds; `timeout` is per read."""

    temperature: Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=2)] | None = None
    max_tokens: Amount = 4096
    timeout: Seconds = 60.0
    call_timeout: Seconds | None = None
    max_retries: Count = 3
    queue_timeout: Seconds = 300.0
    aging_seconds: Seconds = 30.0
    max_queued: Amount = 100_000
    count: Literal["estimate", "native"] = "estimate"


class ProviderConfig(Section):
    """One pool: a provider, its keys and what they may do. `name` comes from the mapping."""

    name: SkipJsonSchema[Annotated[str, Field(pattern=r"^[^{}|:\x00-\x20\x7f]{1,100}$")]]
    kind: Literal["anthropic", "openai"]
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
    limits_source: SkipJsonSchema[str] = ""
