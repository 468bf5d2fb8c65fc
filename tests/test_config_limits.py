"""What limits come to: domains, lanes, bursts and windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.config import (
    ProviderConfig,
    RateLimitConfig,
    ResolvedLimit,
    effective_table,
    parse_config,
    resolve_concurrency,
    resolve_limits,
)
from llm_fleet.errors import ConfigError
from llm_fleet.models import key_id

KEYS = [f"sk-test-not-a-real-key-{number}" for number in range(1, 5)]
ID = [key_id(key) for key in KEYS]

Entry = dict[str, object]


def provider_of(
    *limits: Entry, keys: int = 1, accounts: str = "", own: dict[str, Entry] | None = None
) -> ProviderConfig:
    """A provider with `keys` keys; `accounts` names the account of each, `-` for none."""
    names = accounts.split() or ["-"] * keys
    entries = [
        {"key": key, "account": None if name == "-" else name} for key, name in zip(KEYS, names, strict=False)
    ]
    special = {name: {"rate_limits": [entry]} for name, entry in (own or {}).items()}
    return ProviderConfig.model_validate(
        {"name": "anthropic", "api_keys": entries, "rate_limits": list(limits), "accounts": special}
    )


def amounts(provider: ProviderConfig) -> list[tuple[str, str, str, int]]:
    return [(row.domain, row.lane, row.name, row.amount) for row in resolve_limits(provider)]


RPM: Entry = {"requests_per_minute": 12}


def test_a_row_says_everything() -> None:
    """One limit is one row with its defaults and its place in the file."""
    assert resolve_limits(provider_of(RPM)) == [
        ResolvedLimit(
            ID[0], "*", "requests", 12, 60, 60.0, 0.5, "bucket", None, "providers.anthropic.rate_limits[0]"
        )
    ]


def test_every_field_has_its_resource_and_period() -> None:
    """Six limits are six rows; the day's have the whole limit as their burst."""
    fields = [f"{name}_per_minute" for name in ("requests", "input_tokens", "output_tokens", "tokens")]
    fields += ["requests_per_day", "tokens_per_day"]
    rows = resolve_limits(provider_of(dict.fromkeys(fields, 9)))
    assert [row.name for row in rows] == fields
    assert [(row.period_s, row.burst_s) for row in rows] == [(60, 60.0)] * 4 + [(86_400, 86_400.0)] * 2


def test_an_entry_holds_for_every_domain() -> None:
    """One entry and three keys: each key has the whole limit."""
    assert [row[0] for row in amounts(provider_of(RPM, keys=3))] == ID[:3]


def test_keys_of_an_account_share_its_limits() -> None:
    """Two keys of one account are one domain, with the limit once."""
    provider = provider_of(RPM, accounts="team team -")
    assert [row[0] for row in amounts(provider)] == ["team", ID[2]]


def test_as_many_entries_as_keys_are_one_each() -> None:
    """Without models and shared accounts the entries are dealt out in the order of the keys."""
    provider = provider_of({"requests_per_minute": 1}, {"requests_per_minute": 2}, keys=2)
    assert amounts(provider) == [
        (ID[0], "*", "requests_per_minute", 1),
        (ID[1], "*", "requests_per_minute", 2),
    ]
    assert [row.source[-3:] for row in resolve_limits(provider)] == ["[0]", "[1]"]


@pytest.mark.parametrize("accounts", ["a a", "- - -"])
def test_otherwise_the_same_limit_twice_is_refused(accounts: str) -> None:
    """Two entries on one thing are an error where they cannot be one each."""
    provider = provider_of({"requests_per_minute": 1}, {"requests_per_minute": 2}, accounts=accounts)
    with pytest.raises(ConfigError, match=r"rate_limits\[1\]: limits requests_per_minute of lane '\*' again"):
        resolve_limits(provider)


def test_entries_on_different_things_add_up() -> None:
    """Two entries that limit different things both hold for all keys."""
    provider = provider_of(RPM, {"tokens_per_minute": 5}, keys=3)
    assert [row[2] for row in amounts(provider)][:2] == ["requests_per_minute", "tokens_per_minute"]
    assert len(amounts(provider)) == 6


def test_models_make_a_lane() -> None:
    """A lane is named by the first pattern; the first that fits wins; others are in lane `*`."""
    provider = provider_of(
        {"models": ["haiku-5*", "haiku-4*"], **RPM}, {"models": ["haiku*"], **RPM}, {"tokens_per_day": 9}
    )
    assert [provider.lane(model) for model in ("haiku-4-1", "haiku-3", "opus")] == ["haiku-5*", "haiku*", "*"]
    assert [row[1:3] for row in amounts(provider)] == [
        ("haiku-5*", "requests_per_minute"),
        ("haiku*", "requests_per_minute"),
        ("*", "tokens_per_day"),
    ]


def test_a_lane_has_one_list_of_models() -> None:
    """Two entries that begin with the same pattern must have the same list."""
    provider = provider_of({"models": ["a", "b"], **RPM}, {"models": ["a"], "tokens_per_minute": 5})
    with pytest.raises(ConfigError, match="they are one lane, but their `models` differ"):
        resolve_limits(provider)


def test_an_account_replaces_what_it_limits_itself() -> None:
    """An account's own limit takes the place of the provider's on the same thing only."""
    own = {"big": {"requests_per_minute": 99}}
    provider = provider_of({**RPM, "tokens_per_minute": 5}, accounts="big -", own=own)
    assert amounts(provider) == [
        ("big", "*", "requests_per_minute", 99),
        ("big", "*", "tokens_per_minute", 5),
        (ID[1], "*", "requests_per_minute", 12),
        (ID[1], "*", "tokens_per_minute", 5),
    ]
    assert resolve_limits(provider)[0].source == "providers.anthropic.accounts.big.rate_limits[0]"


def test_concurrency_is_per_domain() -> None:
    """The lowest of the entries counts, over all lanes; an account's own replaces it."""
    lane: Entry = {"models": ["a"], "max_concurrent_requests": 5}
    own = {"big": {"max_concurrent_requests": 99}}
    provider = provider_of({"max_concurrent_requests": 7}, lane, accounts="big - -", own=own)
    assert resolve_concurrency(provider) == {"big": 99, ID[1]: 5, ID[2]: 5}


def test_bursts_can_differ_by_resource() -> None:
    """A number speaks for all minute limits, a mapping for those it names; days are left alone."""
    limits = {"requests_per_minute": 60, "tokens_per_minute": 60, "tokens_per_day": 60}
    for burst, expected in ((10, [10, 10, 86_400]), ({"requests": 10}, [10, 60, 86_400])):
        rows = resolve_limits(provider_of({**limits, "burst_seconds": burst}))
        assert [row.burst_s for row in rows] == expected


def test_a_window_has_a_tenth_of_it_as_burst() -> None:
    """`enforced_as: window` takes its length from window_seconds, else from the period."""
    entry: Entry = {"enforced_as": "window", "requests_per_minute": 60, "requests_per_day": 900}
    for window, expected in (
        (10, [(10.0, 1.0), (86_400.0, 8_640.0)]),
        (None, [(60.0, 6.0), (86_400.0, 8_640.0)]),
    ):
        rows = resolve_limits(provider_of({**entry, "window_seconds": window}))
        assert [(row.window_s, row.burst_s) for row in rows] == expected


@pytest.mark.parametrize("burst", [10, 11, {"requests": 10}])
def test_a_burst_of_the_whole_window_is_refused(burst: object) -> None:
    """A burst as deep as the window's limit would leave nothing to refill."""
    data = {"requests_per_minute": 60, "enforced_as": "window", "window_seconds": 10, "burst_seconds": burst}
    with pytest.raises(
        ValueError, match=r"burst_seconds of requests is 1\d, the whole window of 10 s or more"
    ):
        RateLimitConfig.model_validate(data)


def test_limits_from_code_replace_all() -> None:
    """with_limits drops the limits of the file, the accounts' too, and says who set the new ones."""
    provider = provider_of(RPM, accounts="big", own={"big": {"requests_per_minute": 99}})
    changed = provider.with_limits([RateLimitConfig(requests_per_minute=20)], source="code")
    assert [(row.amount, row.source) for row in resolve_limits(changed)] == [(20, "code[0]")]
    assert [row.amount for row in resolve_limits(provider)] == [99]


def test_the_table_has_a_row_for_every_key() -> None:
    """The effective table goes key by key, and shows the one that has no limit."""
    text = (
        f"providers: {{openai: {{api_keys: [{{key: {KEYS[0]}, account: a}}, {{key: {KEYS[1]}, account: b}},"
        f" {KEYS[2]}], accounts: {{a: {{rate_limits: [{{tokens_per_minute: 9}}]}},"
        " b: {rate_limits: [{max_concurrent_requests: 3}]}}}}"
    )
    rows = effective_table(parse_config(text, env={}))
    assert [(row.key_id, row.account, row.lane) for row in rows] == [
        (ID[0], "a", "*"),
        (ID[1], "b", "*"),
        (ID[2], None, "*"),
    ]
    assert [row.limit.amount if row.limit else None for row in rows] == [9, 3, None]


names = st.sampled_from(["a", "b", "-"])


@given(accounts=st.lists(names, min_size=1, max_size=4), rpm=st.integers(1, 10**9), lanes=st.integers(0, 3))
def test_every_domain_has_every_limit_once(accounts: list[str], rpm: int, lanes: int) -> None:
    """Whatever the accounts, no bucket is named twice and each domain has all lanes."""
    entries: list[Entry] = [{"models": [f"m{lane}"], "requests_per_minute": rpm} for lane in range(lanes)]
    provider = provider_of({"requests_per_minute": rpm}, *entries, accounts=" ".join(accounts))
    rows = resolve_limits(provider)
    assert len({(row.domain, row.lane, row.resource, row.period_s) for row in rows}) == len(rows)
    assert len(rows) == (lanes + 1) * len(set(provider.domains().values()))
