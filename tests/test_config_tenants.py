"""Tenants: their weights and limits, of the whole file or of one provider."""

from __future__ import annotations

import pytest

from llm_fleet.config import FleetConfig, parse_config, resolve_tenants
from llm_fleet.engine.domains import fleet_limits
from llm_fleet.engine.values import Bucket, LaneLimits, TenantLimits
from llm_fleet.errors import ConfigError

KEY, OTHER_KEY = "sk-test-not-a-real-key-1", "sk-test-not-a-real-key-2"
PROVIDERS = f"providers: {{anthropic: {{api_keys: [{KEY}], %s}}, openai: {{api_keys: [{OTHER_KEY}]}}}}\n"
LIMITS = "tenants: {a: {rate_limits: [{%s}]}}"


def config_with(tenants: str, *, own: str = "") -> FleetConfig:
    return parse_config(PROVIDERS % own + tenants, source="llm.yaml", env={})


def engine_tenants(config: FleetConfig) -> dict[str, tuple[TenantLimits, ...]]:
    return {name: limits.tenants for name, limits in fleet_limits(config).items()}


def test_without_tenants_there_are_none() -> None:
    """Nothing of them reaches the engine."""
    assert engine_tenants(config_with("")) == {"anthropic": (), "openai": ()}


def test_tenants_of_the_file_are_those_of_every_provider() -> None:
    """In thousandths, by name; whoever writes no weight has 1."""
    expected = (TenantLimits("a", 1000), TenantLimits("b", 2500))
    config = config_with("tenants: {b: {weight: 2.5}, a: {}}")
    assert engine_tenants(config) == {"anthropic": expected, "openai": expected}


def test_a_providers_own_entry_takes_the_place_of_the_common_one() -> None:
    """As a whole, and there only; the others stay."""
    common = "tenants: {a: {weight: 3, rate_limits: [{requests_per_minute: 5}]}, b: {}}"
    config = config_with(common, own="tenants: {a: {weight: 0.001}, c: {}}")
    found = engine_tenants(config)
    assert found["anthropic"] == (TenantLimits("a", 1), TenantLimits("b"), TenantLimits("c"))
    assert [(tenant.name, tenant.weight_milli) for tenant in found["openai"]] == [("a", 3000), ("b", 1000)]
    sources = [tenant.source for tenant in resolve_tenants(config.providers["anthropic"])]
    assert sources == ["providers.anthropic.tenants.a", "tenants.b", "providers.anthropic.tenants.c"]


def test_limits_of_a_tenant_are_charged_as_the_provider_charges() -> None:
    """Each provider by its profile, or by the file's `charge`; slots stand beside."""
    text = LIMITS % "output_tokens_per_minute: 9, max_concurrent_requests: 3, burst_seconds: 10"
    found = engine_tenants(config_with(text))
    bucket = Bucket("output_tokens", 9, burst_ms=10_000, rule="as_produced")
    assert found["anthropic"][0].lane == LaneLimits("*", (bucket,), 3)
    found = engine_tenants(config_with(text, own="charge: {output_tokens: at_start}"))
    assert found["anthropic"][0].lane == LaneLimits(
        "*", (Bucket("output_tokens", 9, burst_ms=10_000, rule="at_start"),), 3
    )


def test_several_entries_are_one_tenants_limits_together() -> None:
    """So that the minute and the day may be enforced differently."""
    text = "tenants: {a: {rate_limits: [{requests_per_minute: 5, enforced_as: window}, {tokens_per_day: 9}]}}"
    (tenant,) = resolve_tenants(config_with(text).providers["openai"])
    rows = [(row.name, row.amount, row.window_s, row.source) for row in tenant.limits]
    assert rows == [
        ("requests_per_minute", 5, 60.0, "tenants.a.rate_limits[0]"),
        ("tokens_per_day", 9, None, "tenants.a.rate_limits[1]"),
    ]


def test_limits_from_code_leave_the_tenants() -> None:
    """`get_or_create_client(rate_limit_config=…)` speaks of accounts."""
    provider = config_with("tenants: {a: {weight: 2}}").providers["openai"]
    assert resolve_tenants(provider.with_limits([], source="code")) == resolve_tenants(provider)


def test_the_aging_time_reaches_the_engine() -> None:
    """In milliseconds, 30 s where nothing is written, and never 0."""
    config = config_with("", own="settings: {aging_seconds: 2.5}")
    assert {name: limits.aging_ms for name, limits in fleet_limits(config).items()} == {
        "anthropic": 2500,
        "openai": 30_000,
    }
    assert fleet_limits(config_with("", own="settings: {aging_seconds: 0.0001}"))["anthropic"].aging_ms == 1


FAULTS = {
    "tenants: {a: {weight: 0}}": "tenants.a.weight: must be greater than or equal to 0.001",
    "tenants: {a: {weight: -2}}": "tenants.a.weight: must be greater than or equal to 0.001",
    "tenants: {a: {weight: .nan}}": "tenants.a.weight: must be greater than or equal to 0.001",
    "tenants: {a: {weight: 1000.1}}": "tenants.a.weight: must be less than or equal to 1000",
    "tenants: {a: {weight: true}}": "tenants.a.weight: must be a number, not true or false",
    "tenants: {a: {wieght: 2}}": "tenants.a.wieght: unknown field; did you mean weight?",
    "tenants: {a: 2}": "tenants.a: must be a mapping (`field: value` lines)",
    "tenants: [a]": "tenants: must be a mapping (`name: …` lines)",
    "tenants: {1: {}}": "tenants[1]: must be text; put it in quotes",
    "tenants: {'a|b': {}}": "tenants.a|b: must not contain |, quotes, backslashes or control characters",
    LIMITS % "": "tenants.a.rate_limits[0]: sets no limit; write one (requests_per_minute: …) or drop"
    " the entry",
    LIMITS % "requests_per_minute: 5, models: [x]": "tenants.a.rate_limits[0].models: a tenant's limits hold"
    " for all models; drop it",
    LIMITS % "requests_per_minute: 5}, {requests_per_minute: 6": "tenants.a: rate_limits limit"
    " requests_per_minute twice; keep one of them",
    LIMITS % "max_concurrent_requests: 5}, {max_concurrent_requests: 6": "tenants.a: rate_limits limit"
    " max_concurrent_requests twice; keep one of them",
}


@pytest.mark.parametrize(("text", "message"), FAULTS.items())
def test_what_cannot_work_is_told_with_its_place(text: str, message: str) -> None:
    """One line: file, place, remedy."""
    with pytest.raises(ConfigError) as caught:
        config_with(text)
    assert str(caught.value) == f"llm.yaml: {message}"


def test_the_place_of_a_providers_own_tenant_is_told() -> None:
    """It is the provider's."""
    with pytest.raises(ConfigError, match=r"llm\.yaml: providers\.anthropic\.tenants\.a\.weight: must be"):
        config_with("", own="tenants: {a: {weight: 0}}")


def test_no_account_looks_like_a_tenant() -> None:
    """Both are domains in Redis; the mark of tenants is kept for them."""
    with pytest.raises(ConfigError, match=r"api_keys\[0\]\.account: must not begin with `tenant:`"):
        parse_config(f"providers: {{openai: {{api_keys: [{{key: {KEY}, account: 'tenant:a'}}]}}}}", env={})


@pytest.mark.parametrize("text", ["tenants: {a: }", "tenants: {a: {weight: , rate_limits: }}"])
def test_a_tenant_without_fields_has_the_defaults(text: str) -> None:
    """A name with nothing behind it is a tenant all the same."""
    assert engine_tenants(config_with(text))["openai"] == (TenantLimits("a"),)
