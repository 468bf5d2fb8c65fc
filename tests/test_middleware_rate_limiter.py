"""RateLimit over the real engine, with handlers in the provider's place."""

from __future__ import annotations

import asyncio
import time

import pytest

from llm_fleet.chain import compose
from llm_fleet.engine.values import Bucket, Need, Settlement
from llm_fleet.errors import (
    KeyRefused,
    LeaseLost,
    ManagerClosed,
    NeedTooLarge,
    NoUsableKey,
    PoolExhausted,
    ProviderUnavailable,
    QueueFull,
    QueueTimeout,
    StreamInterrupted,
    Throttled,
)
from llm_fleet.middleware.rate_limiter import RateLimit
from llm_fleet.models import Call, Message, MessageRole, Response, Usage
from tests.fleets import fleet, limits, requests

INPUT = Bucket("input_tokens", 60_000, jitter_ms=0, rule="at_start_adjust")


def call(**fields):
    return Call("p", "m", (Message(MessageRole.USER, "Hi"),), 100, **{"queue_timeout": 2.0, **fields})


def chain(member, endpoint, *, input_tokens=100):
    async def needs(asked):
        return Need("*", input_tokens, asked.max_tokens)

    def counts(asked, usage):
        return Settlement(usage.input_tokens, usage.output_tokens)

    return compose([RateLimit(member.pool("p"), needs, counts)], endpoint)


async def level(member):
    """Level of the first bucket, after what was said has arrived."""
    await asyncio.sleep(0.1)
    return (await member.status())["p"]["domains"]["d-k0"]["lanes"]["*"][0]["level"]


async def answer(asked):
    asked.lease.mark_sent()
    return Response("Hello", Usage(input_tokens=40, output_tokens=5), "m")


async def test_a_response_names_the_key_and_the_estimate_becomes_the_usage(redis_url, namespace):
    """The answer carries key id and wait; what was estimated too much is there again."""
    async with fleet(redis_url, namespace, limits(INPUT)) as member:
        response = await chain(member, answer)(call())
        assert response.key_id == "k0"
        assert response.queued_s >= 0
        assert await level(member) >= 60_000 - 40


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        pytest.param(ProviderUnavailable("no answer", retryable=True), 100, id="unknown keeps the estimate"),
        pytest.param(ProviderUnavailable("broke", usage=Usage(30, 2)), 30, id="known is settled"),
        pytest.param(Throttled("429", status=429, retry_after=0.0), 0, id="a 429 consumed nothing"),
    ],
)
async def test_an_error_after_the_send_settles_what_is_known(redis_url, namespace, error, spent):
    """Never assume a failed send was free; a 429 was not accepted."""

    async def fail(asked):
        asked.lease.mark_sent()
        raise error

    slow = Bucket("input_tokens", 6_000, burst_ms=60_000, jitter_ms=0, rule="at_start_adjust")
    async with fleet(redis_url, namespace, limits(slow)) as member:
        with pytest.raises(type(error)):
            await chain(member, fail)(call())
        assert 6_000 - spent <= await level(member) <= 6_000 - spent + 30


async def test_an_error_before_the_send_gives_all_back(redis_url, namespace):
    """Nothing was sent: the request is there again."""

    async def fail(asked):
        raise ProviderUnavailable("no connection could be opened")

    async with fleet(redis_url, namespace, limits(requests(1))) as member:
        for _ in range(3):
            with pytest.raises(ProviderUnavailable):
                await chain(member, fail)(call())


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable("no answer"),
        StreamInterrupted("broke", text="so far"),
        PoolExhausted("no client"),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_an_attempt_ends_with_names_its_ticket(redis_url, namespace, error):
    """So that `explain` can be asked; a response has it too."""

    async def fail(asked):
        asked.lease.mark_sent()
        raise error

    async with fleet(redis_url, namespace, limits(requests(60))) as member:
        with pytest.raises(type(error)) as caught:
            await chain(member, fail)(call())
        response = await chain(member, answer)(call())
        await asyncio.sleep(0.1)
        tickets = [caught.value.ticket, response.ticket]
        assert [(await member.explain(ticket)).state for ticket in tickets] == ["settled", "settled"]
    assert len(set(tickets)) == 2


@pytest.mark.parametrize("ended", ["timeout", "cancelled", "closed"])
async def test_what_a_wait_ends_with_names_its_ticket(redis_url, namespace, ended):
    """A denial, a cancellation and a manager that closes, as an attempt does."""
    async with (
        fleet(redis_url, namespace, limits(slots=1)) as holder,
        fleet(redis_url, namespace, limits(slots=1)) as member,
    ):
        await holder.pool("p").enqueue(Need("*", 1, 1), timeout_s=1)
        waiting = asyncio.create_task(chain(member, answer)(call(queue_timeout=0.5)))
        await asyncio.sleep(0.2)
        head = (await holder.status())["p"]["queues"][0]["head"]["ticket"]
        if ended == "closed":
            await member.close()
        elif ended == "cancelled":
            waiting.cancel()
        with pytest.raises((QueueTimeout, ManagerClosed, asyncio.CancelledError)) as caught:
            await waiting
        await asyncio.sleep(0.1)
        assert caught.value.ticket == head
        assert (await holder.explain(head)).state == "cancelled"


async def test_cancelling_frees_the_slot(redis_url, namespace):
    """A cancelled call ends its lease."""

    async def hang(asked):
        asked.lease.mark_sent()
        await asyncio.sleep(60)

    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        running = asyncio.create_task(chain(member, hang)(call()))
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await chain(member, answer)(call())


async def test_a_429_pauses_the_domain_for_the_whole_fleet(redis_url, namespace):
    """Another process waits out the retry-after; another domain does not."""

    async def throttled(asked):
        asked.lease.mark_sent()
        raise Throttled("429", status=429, retry_after=0.6, retryable=True)

    async with (
        fleet(redis_url, namespace, limits(requests(60))) as member,
        fleet(redis_url, namespace, limits(requests(60))) as other,
    ):
        with pytest.raises(Throttled):
            await chain(member, throttled)(call())
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await chain(other, answer)(call())
        assert 0.4 < time.monotonic() - started < 1.2


async def test_a_refused_key_is_taken_out_of_service_and_says_why(redis_url, namespace):
    """401: no process uses the key again until it is resumed."""

    async def refused(asked):
        asked.lease.mark_sent()
        raise KeyRefused("no", status=401, code="authentication_error")

    async with fleet(redis_url, namespace, limits(requests(60))) as member:
        with pytest.raises(KeyRefused):
            await chain(member, refused)(call())
        with pytest.raises(NoUsableKey, match="keys resume"):
            await chain(member, answer)(call())
        assert (await member.status())["p"]["keys"]["k0"]["reason"] == "401 authentication_error"
        await member.pool("p").resume_key("k0")
        await chain(member, answer)(call())


async def test_a_lost_lease_takes_a_new_ticket(redis_url, namespace):
    """LeaseLost is no failure of the call: nothing was sent, it goes again."""
    tries = []

    async def lose_once(asked):
        tries.append(asked.lease.ticket)
        if len(tries) == 1:
            raise LeaseLost("gone")
        return await answer(asked)

    async with fleet(redis_url, namespace, limits(slots=1)) as member:
        await chain(member, lose_once)(call())
    assert len(set(tries)) == 2


async def test_a_denial_says_what_binds_where(redis_url, namespace):
    """QueueTimeout carries provider, lane, key, resource, need, level, limit and remedy, also when it is at once."""
    async with fleet(redis_url, namespace, limits(requests(60, burst_ms=1000))) as member:
        await chain(member, answer)(call())
        with pytest.raises(
            QueueTimeout, match="Rate limit exceeded.*requests_per_minute.*queue_timeout"
        ) as caught:
            await chain(member, answer)(call(queue_timeout=0.2))
    error = caught.value
    assert (error.provider, error.lane, error.key_id, error.resource) == (
        "p",
        "*",
        "k0",
        "requests_per_minute",
    )
    assert (error.need, error.level, error.limit) == (1, 0, 60)


async def test_a_call_above_its_limit_is_refused_at_once(redis_url, namespace):
    """NeedTooLarge names need and limit."""
    async with fleet(redis_url, namespace, limits(INPUT)) as member:
        with pytest.raises(NeedTooLarge, match="input_tokens_per_minute.*needs 70000.*limit 60000"):
            await chain(member, answer, input_tokens=70_000)(call())


async def test_a_full_queue_refuses(redis_url, namespace):
    """max_queued tickets wait: the next is told so at once."""
    from dataclasses import replace

    pool = replace(limits(slots=1), max_queued=2)
    async with fleet(redis_url, namespace, pool) as member:
        await member.pool("p").enqueue(Need("*", 1, 1), timeout_s=1)
        waiting = [asyncio.create_task(chain(member, answer)(call(queue_timeout=0.5))) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(QueueFull, match="max_queued"):
            await chain(member, answer)(call())
        await asyncio.gather(*waiting, return_exceptions=True)
