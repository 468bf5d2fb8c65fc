"""complete(): through real SDKs, a real server and a provider that enforces limits."""

from __future__ import annotations

import asyncio
import time

import pytest

from llm_fleet.errors import (
    CallTimeout,
    ConfigError,
    CoordinationError,
    KeyRefused,
    ManagerClosed,
    NeedTooLarge,
    ProviderUnavailable,
    QueueTimeout,
    RequestRefused,
)
from llm_fleet.models import Message, MessageRole
from tests.managers import HELLO, KEYS, entry, manager_of, provider, settled

LIMITS = {"requests_per_minute": 600, "input_tokens_per_minute": 60_000, "output_tokens_per_minute": 60_000}


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_an_answer_carries_text_usage_and_key_id(simulator, redis_url, namespace, kind):
    """Both vendors: content, usage, key id, attempts; the key itself nowhere."""
    sim = simulator(provider())
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind=kind, limits=LIMITS)) as manager:
        response = await manager.get_client("p").complete(HELLO)
    assert len(response.content.split()) == 20
    assert response.usage.output_tokens == 20
    assert response.usage.input_tokens > 0
    assert (response.attempts, len(response.key_id)) == (1, 12)
    assert KEYS[0] not in repr(response)


async def test_usage_is_settled_and_nothing_stays_in_flight(simulator, redis_url, namespace):
    """After the answer the levels are what the provider's books say."""
    sim = simulator(provider(limits=LIMITS))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        await asyncio.gather(*(manager.get_client().complete(HELLO, max_tokens=100) for _ in range(50)))
        status = await settled(manager)
    (domain,) = status["domains"].values()
    assert (domain["in_flight"], status["leases"], status["waiting"]) == (0, 0, 0)
    assert all(bucket["held"] == 0 for bucket in domain["lanes"]["*"])
    books = sim.books()["accounts"]["account-0"]
    assert (books["accepted"], books["rejected"]) == (50, 0)


async def test_a_server_error_is_tried_again_with_a_new_ticket(simulator, redis_url, namespace):
    """500, then an answer: attempts 2, two tickets in the books."""
    sim = simulator(provider(faults=[{"kind": "status", "status": 500, "times": 1}]))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        response = await manager.get_client().complete(HELLO)
    assert response.attempts == 2
    assert len({request["ticket"] for request in sim.books()["requests"]}) == 2


async def test_retries_end(simulator, redis_url, namespace):
    """max_retries: 1 means two attempts; the error names provider and key id."""
    sim = simulator(provider(faults=[{"kind": "status", "status": 529, "times": 9}]))
    settings = {"settings": {"max_retries": 1}}
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, **settings)) as manager:
        with pytest.raises(ProviderUnavailable) as caught:
            await manager.get_client().complete(HELLO)
    assert (caught.value.provider, caught.value.status) == ("anthropic", 529)
    assert len(sim.books()["requests"]) == 2


async def test_a_429_that_nobody_could_know_of_is_waited_out(simulator, redis_url, namespace):
    """retry-after is honoured, and pauses the account for everybody."""
    sim = simulator(provider(faults=[{"kind": "status", "status": 429, "times": 1, "retry_after_s": 1}]))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=LIMITS)) as manager:
        started = time.monotonic()
        response = await manager.get_client().complete(HELLO)
        assert response.attempts == 2
        assert time.monotonic() - started >= 1.0


async def test_a_refused_key_goes_out_of_service_for_the_fleet(simulator, redis_url, namespace):
    """One bad key of two: its call fails with the reason, all others use the good one."""
    sim = simulator(provider(keys=1))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, keys=2, limits=LIMITS)) as manager:
        calls = [manager.get_client().complete(HELLO) for _ in range(2)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(outcome, KeyRefused) for outcome in outcomes) == 1
        await asyncio.gather(*(manager.get_client().complete(HELLO) for _ in range(10)))


async def test_every_call_ends_soon_after_its_timeout(simulator, redis_url, namespace):
    """A provider that hangs: CallTimeout in time, and the slot is free again."""
    sim = simulator(provider(latency_s=30))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        await manager.fleet_status()
        started = time.monotonic()
        with pytest.raises(CallTimeout, match="timeout"):
            await manager.get_client().complete(HELLO, timeout=2.5)
        assert time.monotonic() - started < 3.5
        assert (await settled(manager))["leases"] == 0


async def test_a_queue_timeout_says_what_it_waited_for(simulator, redis_url, namespace):
    """Provider, lane, key id, resource, need, level, limit, place in the queue, and the remedy."""
    sim = simulator(provider())
    slow = {"models": ["claude-haiku-*"], "input_tokens_per_minute": 1_000}
    long = [Message(MessageRole.USER, "word " * 300)]
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, limits=slow)) as manager:
        async with manager.get_client().lease(input_tokens=900):
            with pytest.raises(QueueTimeout, match="Raise queue_timeout or rate_limits") as caught:
                await manager.get_client().complete(long, queue_timeout=0.3)
        (key_id,) = (await settled(manager))["keys"]
    error, message = caught.value, str(caught.value)
    assert (error.provider, error.lane, error.key_id) == ("anthropic", "claude-haiku-*", key_id)
    assert (error.resource, error.limit, error.position) == ("input_tokens_per_minute", 1_000, 0)
    assert (error.level or 0) < (error.need or 0) <= 1_000
    named = (error.provider, error.lane, key_id, error.resource, error.need, error.level, error.limit)
    assert [name for name in named if str(name) not in message] == []
    assert "position 0 in the queue" in message


async def test_a_request_above_its_limit_is_refused_before_it_is_sent(simulator, redis_url, namespace):
    """OpenAI charges input and max output: 5,000 of 1,000 can never go."""
    sim = simulator(provider())
    small = {"tokens_per_minute": 1000}
    async with manager_of(redis_url, namespace, p=entry(sim.url, kind="openai", limits=small)) as manager:
        with pytest.raises(NeedTooLarge, match="tokens_per_minute.*limit 1000"):
            await manager.get_client().complete(HELLO, max_tokens=5000)
    assert sim.books()["requests"] == []


@pytest.mark.parametrize(
    ("messages", "options", "says"),
    [
        ([], {}, "messages"),
        ("Hello", {}, "messages"),
        (HELLO, {"max_tokens": 0}, "max_tokens"),
        (HELLO, {"priority": "urgent"}, "interactive, normal, batch"),
        (HELLO, {"timeout": -1}, "timeout"),
        (HELLO, {"queue_timeout": "soon"}, "queue_timeout"),
        (HELLO, {"tenant": 'a"b'}, "tenant"),
        (HELLO, {"tag": 5}, "tag 5: use text, not int"),
        (HELLO, {"tenant": ["web"]}, "tenant .*: use text, not list"),
        (HELLO, {"affinity": b"chat"}, "affinity .*: use text, not bytes"),
        (HELLO, {"model": 5}, "model 5: use text, not int"),
    ],
)
async def test_a_bad_argument_is_one_clear_message(redis_url, namespace, messages, options, says):
    """What cannot work is said before anything is sent."""
    async with manager_of(redis_url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        with pytest.raises(ConfigError, match=says):
            await manager.get_client().complete(messages, **options)


async def test_unreachable_redis_says_where_and_sends_nothing(simulator, namespace):
    """No Redis: CoordinationError in time, never an unlimited call."""
    sim = simulator(provider())
    async with manager_of("redis://127.0.0.1:9/0", namespace, anthropic=entry(sim.url)) as manager:
        with pytest.raises(CoordinationError, match=r"127\.0\.0\.1:9"):
            await manager.get_client().complete(HELLO, timeout=1.5)
    assert sim.books()["requests"] == []


async def test_a_closed_manager_says_so(redis_url, namespace):
    """A client that outlived its manager names the remedy."""
    async with manager_of(redis_url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        client = manager.get_client()
    with pytest.raises(ManagerClosed, match="get_llm_manager"):
        await client.complete(HELLO)


async def test_any_other_keyword_reaches_the_sdk(simulator, redis_url, namespace):
    """What the SDK can do is never hidden; what it cannot is refused by name."""
    sim = simulator(provider())
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        response = await manager.get_client().complete(
            [Message(MessageRole.USER, [{"type": "text", "text": "Hi"}])],
            system="Be brief.",
            stop_sequences=["END"],
        )
        assert response.stop_reason == "end_turn"
        with pytest.raises(RequestRefused, match="no_such_option"):
            await manager.get_client().complete(HELLO, no_such_option=1)
