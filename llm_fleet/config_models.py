"""A provider in the config: its keys, limits and settings. Knows no file and no environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from .config_fields import Amount, ChargeRule, Count, Name, Resource, Seconds, Section, Temperature
from .config_rates import SHARED_LANE, AccountConfig, RateLimitConfig, TenantConfig
from .models import key_id

__all__ = ["ApiKey", "ProviderConfig", "SettingsConfig"]

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

    @field_validator("account")
    @classmethod
    def _no_tenant(cls, account: str | None) -> str | None:
        if account is not None and account.startswith("tenant:"):
            raise ValueError("must not begin with `tenant:`, the fleet's own mark of tenants")
        return account

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
    tenants: dict[Name, TenantConfig] = Field(default_factory=dict)
    charge: dict[Resource, ChargeRule] = Field(default_factory=dict)
    trace_headers: bool = False
    _limits_source: str = PrivateAttr("")
    _common_tenants: dict[str, TenantConfig] = PrivateAttr(default_factory=dict)

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

    def with_tenants(self, common: dict[str, TenantConfig]) -> ProviderConfig:
        """This provider, with the tenants that all providers have."""
        changed = self.model_copy()
        changed._common_tenants = common
        return changed

    def every_tenant(self) -> dict[str, tuple[TenantConfig, str]]:
        """Name -> tenant and its place in the file; its own entries take the place of the common ones."""
        common = {name: (tenant, f"tenants.{name}") for name, tenant in self._common_tenants.items()}
        place = f"providers.{self.name}.tenants"
        return common | {name: (tenant, f"{place}.{name}") for name, tenant in self.tenants.items()}

    def with_limits(self, limits: Sequence[RateLimitConfig], *, source: str) -> ProviderConfig:
        """This provider with other limits for all its accounts; `source` says whose they are."""
        changed = self.model_copy(update={"rate_limits": list(limits), "accounts": {}})
        changed._limits_source = source
        return changed

    @property
    def limits_source(self) -> str:
        """Where `rate_limits` stands: a YAML path, or who replaced it."""
        return self._limits_source or f"providers.{self.name}.rate_limits"
