"""The whole config: reads the YAML, applies the environment, and says clearly what cannot work.

Fields and limits live beside this file (`config_*.py`), and are re-exported here. Knows nothing
of Redis, providers or engines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from .config_fields import Amount, ChargeRule, Count, Name, Resource, Seconds, Section, closest, name_problem
from .config_limits import (
    ConcurrencyLimit,
    EffectiveRow,
    ResolvedLimit,
    ResolvedTenant,
    effective_rows,
    resolve_concurrency,
    resolve_limits,
    resolve_tenants,
)
from .config_models import ApiKey, ProviderConfig, SettingsConfig
from .config_rates import AccountConfig, RateLimitConfig, TenantConfig, TenantLimitConfig
from .config_warnings import provider_warnings
from .config_yaml import expand, read_tree, yaml_path
from .errors import ConfigError

__all__ = [
    "AccountConfig",
    "ApiKey",
    "ChargeRule",
    "ConcurrencyLimit",
    "EffectiveRow",
    "FleetConfig",
    "GlobalConfig",
    "PoolConfig",
    "ProviderConfig",
    "RateLimitConfig",
    "RedisConfig",
    "ResolvedLimit",
    "ResolvedTenant",
    "Resource",
    "SettingsConfig",
    "TenantConfig",
    "TenantLimitConfig",
    "effective_table",
    "load_config",
    "name_problem",
    "parse_config",
    "resolve_concurrency",
    "resolve_limits",
    "resolve_tenants",
]

DEFAULT_PATH = "config/llm.yaml"
REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


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


class PoolConfig(Section):
    """`pool`: SDK clients of this process. `max_size` None: as many as a provider has keys."""

    min_size: Count = 1
    max_size: Amount | None = None
    acquire_timeout: Seconds = 30.0
    idle_timeout: Seconds = 3600.0
    max_lifetime: Seconds = 7200.0

    @model_validator(mode="after")
    def _min_within_max(self) -> PoolConfig:
        if self.max_size is not None and self.min_size > self.max_size:
            raise ValueError(f"min_size ({self.min_size}) is above max_size ({self.max_size})")
        return self


class RedisConfig(Section):
    """`redis`: where the fleet meets.

    url: `redis://[user:password@]host[:port][/db]`, `rediss://…` (TLS), `unix:///path/to.sock`,
    `redis+sentinel://[user:password@]host:port,host:port/service[/db]`,
    `redis+cluster://[user:password@]host:port,host:port` (both also as `rediss+…`), or `embedded`.
    """

    url: SecretStr | None = None
    namespace: Name = "llm_fleet"
    on_redis_down: Literal["share", "wait", "open"] = "share"
    lease_ttl_seconds: Annotated[Seconds, Field(ge=1)] = 15.0
    connect_timeout: Seconds = 2.0
    command_timeout: Seconds = 2.0

    @field_validator("url")
    @classmethod
    def _known_form(cls, url: SecretStr | None) -> SecretStr | None:
        text = url.get_secret_value() if url else "embedded"
        if text != "embedded" and text.partition("://")[0].lower() not in REDIS_SCHEMES:
            known = ", ".join(f"{scheme}://" for scheme in REDIS_SCHEMES)
            raise ValueError(f"must be `embedded` or begin with one of {known}")
        return url

    @field_validator("namespace")
    @classmethod
    def _no_hash_tag(cls, namespace: str) -> str:
        if set(namespace) & set("{} "):
            raise ValueError("must not contain braces or spaces")
        return namespace


def _with_name(name: str, entry: Any) -> Any:
    """The provider knows the name under which it stands."""
    problem = name_problem(name)
    if problem is None and set(name) & set("{}: "):
        problem = "must not contain braces, ':' or spaces"
    if problem:
        raise ValueError(f"the name of a provider {problem}")
    if not isinstance(entry, dict):
        return entry
    if entry.get("name", name) != name:
        raise ValueError(f"`name` is {name!r} by its place already; drop the field")
    return {**entry, "name": name}


class FleetConfig(Section):
    """Everything that the YAML says, checked as a whole."""

    global_: GlobalConfig = Field(default=GlobalConfig(), alias="global")
    providers: Annotated[dict[str, ProviderConfig], Field(min_length=1)]
    pool: PoolConfig = PoolConfig()
    redis: RedisConfig = RedisConfig()
    tenants: dict[Name, TenantConfig] = Field(default_factory=dict)
    config_version: Count | None = None

    @field_validator("providers", mode="before")
    @classmethod
    def _named(cls, providers: Any) -> Any:
        if not isinstance(providers, dict):
            return providers
        return {name: _with_name(str(name), entry) for name, entry in providers.items()}

    @model_validator(mode="after")
    def _tenants_for_all(self) -> FleetConfig:
        for name, provider in self.providers.items():
            self.providers[name] = provider.with_tenants(self.tenants)
        return self

    @model_validator(mode="after")
    def _one_place_per_key(self) -> FleetConfig:
        seen: dict[str, str] = {}
        for name, provider in self.providers.items():
            for index, key in enumerate(provider.api_keys):
                place = f"providers.{name}.api_keys[{index}]"
                if key.key_id in seen:
                    raise ValueError(
                        f"{place} is the same key as {seen[key.key_id]} (key id {key.key_id}); keep one,"
                        " or its limits would be counted twice"
                    )
                seen[key.key_id] = place
        return self

    @model_validator(mode="after")
    def _default_exists(self) -> FleetConfig:
        wanted = self.global_.default_provider
        if wanted is not None and wanted not in self.providers:
            raise ValueError(f"global.default_provider names no provider; {closest(wanted, self.providers)}")
        return self

    @property
    def default_provider(self) -> str:
        """The provider that is meant when none is named: the first one unless the file says so."""
        return self.global_.default_provider or next(iter(self.providers))

    def warnings(self) -> list[str]:
        """What will run, but hardly as meant; one sentence each, with place and remedy."""
        found: list[str] = []
        for provider in self.providers.values():
            found += provider_warnings(provider, max_size=self.pool.max_size)
        return found


def effective_table(config: FleetConfig) -> list[EffectiveRow]:
    """Provider by provider and key by key, every limit in force with its source."""
    return [row for provider in config.providers.values() for row in effective_rows(provider)]


def load_config(path: str | Path | None = None, *, env: Mapping[str, str] | None = None) -> FleetConfig:
    """The config in the file at `path`; None means `LLM_CONFIG_PATH`, else `config/llm.yaml`.

    Raises: ConfigError that names file, YAML path and remedy; never a secret.
    """
    env = os.environ if env is None else env
    file = Path(path or env.get("LLM_CONFIG_PATH") or DEFAULT_PATH)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{file}: no such file; write it (the project's config/llm.yaml is an annotated example),"
            " or set LLM_CONFIG_PATH"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: not text in UTF-8; save it as UTF-8") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"{file}: cannot be read ({why}); check the path and its rights") from None
    return parse_config(text, source=str(file), env=env)


def parse_config(text: str, *, source: str = "<string>", env: Mapping[str, str] | None = None) -> FleetConfig:
    """The config that `text` holds; `source` is what errors call it.

    Raises: ConfigError that names `source`, YAML path and remedy; never a secret.
    """
    env = os.environ if env is None else env
    tree = expand(read_tree(text, source), env, source)
    from_env = _apply_environment(tree, env)
    try:
        config = FleetConfig.model_validate(tree)
        for provider in config.providers.values():
            resolve_limits(provider)
    except ValidationError as error:
        raise ConfigError(_told(error, source, from_env)) from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return config


def _apply_environment(tree: dict[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """Put in what the environment says; returns YAML path -> variable for what it put there."""
    placed: dict[str, str] = {}
    for section, field, variable, wins in (
        ("global", "log_level", "LLM_LOG_LEVEL", True),
        ("redis", "url", "REDIS_URL", False),
    ):
        fields = tree.get(section) or {}
        if not env.get(variable) or not isinstance(fields, dict) or (fields.get(field) and not wins):
            continue
        tree[section] = {**fields, field: env[variable]}
        placed[f"{section}.{field}"] = variable
    return placed


def _told(error: ValidationError, source: str, from_env: Mapping[str, str]) -> str:
    """Every fault in a line of its own: file, YAML path, what is wrong. Inputs are left out."""
    lines: list[str] = []
    for fault in error.errors(include_url=False, include_input=False):
        field = fault.get("ctx", {}).get("field")
        parts = (part for part in (*fault["loc"], field) if part is not None)
        place = yaml_path([part for part in parts if not str(part).startswith(("[", "("))])
        where = from_env.get(place) or f"{source}: {place}".removesuffix(": ")
        lines.append(f"{where}: {_problem(fault['type'], fault['msg'])}")
    return "\n".join(dict.fromkeys(lines))


def _problem(kind: str, message: str) -> str:
    """The fault in our words."""
    said = {
        "missing": "is missing; write it",
        "model_type": "must be a mapping (`field: value` lines)",
        "dict_type": "must be a mapping (`name: …` lines)",
        "list_type": "must be a list (`- …` lines)",
        "too_short": "must have at least one entry",
        "string_type": "must be text; put it in quotes",
    }
    plain = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return said.get(kind, plain)
