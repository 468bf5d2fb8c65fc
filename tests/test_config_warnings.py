"""What runs, but hardly as meant, is said in a sentence with its place."""

from __future__ import annotations

import pytest

from llm_fleet.config import parse_config

ONE = "sk-test-not-a-real-key-1"
TWO = "sk-test-not-a-real-key-2"

DOUBTS = {
    "keys without account": (
        f"api_keys: [{ONE}, {TWO}], rate_limits: [{{requests_per_minute: 5}}]",
        "providers.openai.api_keys: 2 keys (0, 1) have no account",
    ),
    "an account that nobody uses": (
        f"api_keys: [{{key: {ONE}, account: a}}], accounts: {{a: {{}}, b: {{}}}},"
        " rate_limits: [{requests_per_minute: 5}]",
        "providers.openai.accounts.b: no key has this account",
    ),
    "an account that is not listed": (
        f"api_keys: [{{key: {ONE}, account: a}}, {{key: {TWO}, account: aa}}], accounts: {{a: {{}}}},"
        " rate_limits: [{requests_per_minute: 5}]",
        "providers.openai.api_keys: the account aa has no entry under accounts",
    ),
    "entries that are dealt out unawares": (
        f"api_keys: [{{key: {ONE}, account: a}}, {{key: {TWO}, account: b}}],"
        " rate_limits: [{requests_per_minute: 5}, {tokens_per_minute: 5}]",
        "providers.openai.rate_limits: as many entries as keys are one each, yet they limit different things",
    ),
    "no limit at all": (f"api_keys: [{ONE}]", "providers.openai.rate_limits: no limit at all"),
    "a key without limit": (
        f"api_keys: [{{key: {ONE}, account: a}}, {TWO}],"
        " accounts: {a: {rate_limits: [{requests_per_minute: 5}]}}",
        "providers.openai.api_keys[1] has no limit, while other keys have",
    ),
    "a lane for no model": (
        f"api_keys: [{ONE}], models: [gpt-6-sol], rate_limits: [{{models: [gpt6*], requests_per_minute: 5}}]",
        "providers.openai.rate_limits: models ['gpt6*'] fit none of this provider's models",
    ),
    "jitter as long as the burst": (
        f"api_keys: [{ONE}], rate_limits: [{{requests_per_minute: 5, burst_seconds: 0.5}}]",
        "providers.openai.rate_limits[0]: jitter_seconds (0.5) leaves nothing of burst_seconds (0.5)",
    ),
}


@pytest.mark.parametrize(("provider", "start"), DOUBTS.values(), ids=DOUBTS)
def test_one_doubt_is_one_sentence(provider: str, start: str) -> None:
    """Each doubt names its place, and nothing else is doubted."""
    warnings = parse_config(f"providers: {{openai: {{{provider}}}}}", env={}).warnings()
    assert [warning[: len(start)] for warning in warnings] == [start]


def test_a_pool_smaller_than_the_keys() -> None:
    """pool.max_size below the number of keys is doubted."""
    keys = f"[{{key: {ONE}, account: a}}, {{key: {TWO}, account: b}}]"
    limits = "rate_limits: [{requests_per_minute: 5}]"
    text = f"providers: {{openai: {{api_keys: {keys}, {limits}}}}}\npool: {{max_size: 1}}"
    (warning,) = parse_config(text, env={}).warnings()
    assert warning.startswith("pool.max_size is 1, below the 2 keys of providers.openai")


def test_a_sound_config_has_no_warnings() -> None:
    """Limits, accounts and models that fit draw no sentence."""
    text = (
        f"providers: {{openai: {{api_keys: [{{key: {ONE}, account: a}}, {{key: {TWO}, account: a}}],"
        " models: [gpt-6-sol], rate_limits: [{models: [gpt-6*], requests_per_minute: 5}]}}"
    )
    assert parse_config(text, env={}).warnings() == []
