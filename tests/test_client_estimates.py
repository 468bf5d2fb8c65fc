"""What a call is said to need before, and to have cost after."""

from __future__ import annotations

import json

from llm_fleet.client import Estimates
from llm_fleet.config import ProviderConfig, parse_config
from llm_fleet.models import Call, Message, MessageRole, Usage
from tests.managers import entry


def provider(kind: str = "anthropic", **limits: int) -> ProviderConfig:
    text = json.dumps({"providers": {"p": entry("http://127.0.0.1:9", kind=kind, limits=limits)}})
    return parse_config(text, env={}).providers["p"]


def call(text: str, max_tokens: int = 100) -> Call:
    return Call("p", "m", (Message(MessageRole.USER, text),), max_tokens)


def test_an_estimate_alone_refuses_nothing_that_may_fit():
    """A prompt whose cold estimate is above the limit, though it may well have fewer tokens."""
    estimates = Estimates(provider(input_tokens_per_minute=10_000))
    assert estimates.need(call("word " * 7_000)).input_tokens == 10_000
    assert estimates.need(call("word " * 70_000)).input_tokens > 10_000


def test_the_output_is_counted_beside_the_input_where_the_limit_has_both():
    """tokens_per_minute: estimate and max_tokens together stay within the limit."""
    need = Estimates(provider("openai", tokens_per_minute=10_000)).need(call("word " * 7_000, 2_000))
    assert need.input_tokens + need.max_output_tokens == 10_000


def test_cache_reads_are_free_for_anthropic_and_count_for_openai():
    """PROVIDERS.md: ITPM counts no cache reads; OpenAI's TPM counts everything."""
    usage = Usage(input_tokens=100, output_tokens=5, cache_read_tokens=80)
    assert Estimates(provider(requests_per_minute=1)).settlement(call("x"), usage).input_tokens == 20
    assert (
        Estimates(provider("openai", requests_per_minute=1)).settlement(call("x"), usage).input_tokens == 100
    )


def test_estimates_learn_from_usage():
    """After some usages the estimate is near what such calls cost."""
    estimates = Estimates(provider(requests_per_minute=1))
    for _ in range(30):
        estimates.settlement(call("a" * 1000), Usage(input_tokens=500))
    assert 450 <= estimates.need(call("a" * 1000)).input_tokens <= 550
