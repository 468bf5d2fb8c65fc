"""client.lease(): the right to call a provider in one's own way, given back whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from llm_fleet.client import wait_at_most
from llm_fleet.errors import ConfigError, LeaseLost, ManagerClosed, NeedTooLarge, QueueTimeout
from llm_fleet.models import Usage
from tests.managers import HELLO, KEYS, entry, manager_of, settled

NOWHERE = "http://127.0.0.1:9"
LIMITS = {"input_tokens_per_minute": 60_000, "max_concurrent_requests": 1, "jitter_seconds": 0}


@pytest.fixture
async def manager(redis_url, namespace):
    """A manager whose provider is never called by it: one key, one call at once."""
    async with manager_of(redis_url, namespace, anthropic=entry(NOWHERE, limits=LIMITS)) as opened:
        yield opened


async def spent(manager) -> int:
    """Input tokens that are charged, give or take what came back meanwhile."""
    (domain,) = (await settled(manager))["domains"].values()
    return 60_000 - domain["lanes"]["*"][0]["level"]


async def test_a_lease_gives_the_key_and_settles_the_usage(manager):
    """Inside there is a key to call with; afterwards only the usage is charged."""
    async with manager.get_client().lease(input_tokens=50_000, max_tokens=10) as lease:
        assert lease.api_key == KEYS[0]
        assert lease.queued_s >= 0
        assert (await manager.explain(lease.ticket)).state == "granted"
        await lease.settle(Usage(input_tokens=20_000, output_tokens=5))
    assert 18_000 <= await spent(manager) <= 20_000
    assert (await settled(manager))["leases"] == 0


async def test_a_lease_without_usage_leaves_the_reserved_charged(manager):
    """The slot comes back, the tokens may have been spent."""
    async with manager.get_client().lease(input_tokens=50_000, max_tokens=10):
        pass
    assert 48_000 <= await spent(manager) <= 50_000
    assert (await settled(manager))["leases"] == 0


async def test_cancel_gives_everything_back(manager):
    """Nothing was sent: nothing is charged."""
    async with manager.get_client().lease(input_tokens=50_000, max_tokens=10) as lease:
        await lease.cancel()
    assert await spent(manager) == 0


async def test_an_error_inside_gives_the_slot_back(manager):
    """The next lease goes at once, though only one may be held."""
    client = manager.get_client()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with client.lease(input_tokens=1, timeout=2):
                1 / 0  # noqa: B018


async def test_cancellation_inside_and_while_waiting_gives_back(manager):
    """A holder and a waiter are cancelled: the slot is free, the queue is empty."""
    client = manager.get_client()
    held = asyncio.Event()

    async def hold():
        async with client.lease(input_tokens=1):
            held.set()
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(hold()), asyncio.create_task(hold())]
    await held.wait()
    await asyncio.sleep(0.05)
    for task in reversed(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    status = await settled(manager)
    assert (status["leases"], status["waiting"]) == (0, 0)


async def test_throttled_pauses_the_account_for_the_whole_fleet(manager):
    """A 429 that one's own code was given holds everybody up for as long as it says."""
    client = manager.get_client()
    async with client.lease(input_tokens=50_000) as lease:
        await lease.throttled(30)
    with pytest.raises(QueueTimeout) as caught:
        async with client.lease(input_tokens=1, timeout=0.2):
            pass
    assert caught.value.retry_after == pytest.approx(30, abs=2)
    assert await spent(manager) == 0


async def test_the_key_is_only_there_while_the_lease_is_held(manager):
    """Before, after, and after settling it is LeaseLost; no repr shows it, and a lease is taken once."""
    lease = manager.get_client().lease(input_tokens=1)
    with pytest.raises(LeaseLost):
        _ = lease.api_key
    async with lease:
        assert KEYS[0] not in repr(lease)
        await lease.settle(Usage(1, 1))
        with pytest.raises(LeaseLost):
            _ = lease.api_key
    with pytest.raises(LeaseLost, match="once"):
        async with lease:
            pass


async def test_a_lease_waits_its_timeout_and_says_what_binds(manager):
    """QueueTimeout as from a call; what can never go is refused at once."""
    client = manager.get_client()
    async with client.lease(input_tokens=1):
        with pytest.raises(QueueTimeout, match="Rate limit exceeded: provider anthropic"):
            async with client.lease(input_tokens=1, timeout=0.1):
                pass
    with pytest.raises(NeedTooLarge, match="70000.*60000"):
        async with client.lease(input_tokens=70_000):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"max_tokens": 0},
        {"priority": "urgent"},
        {"timeout": "soon"},
        {"tenant": None},
        {"tag": 5},
        {"affinity": 5},
        {"model": 5},
    ],
)
async def test_wrong_arguments_are_named(manager, wrong):
    """ConfigError before anything is queued."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        manager.get_client().lease(**{"input_tokens": 1, **wrong})


async def test_a_closed_manager_gives_no_lease(manager):
    """ManagerClosed on entering."""
    client = manager.get_client()
    await manager.close()
    with pytest.raises(ManagerClosed):
        async with client.lease(input_tokens=1):
            pass


async def test_wait_at_most_bounds_calls_and_leases_inside_it(manager):
    """Whatever their own timeout says; outside they wait as before."""
    client = manager.get_client()
    async with client.lease(input_tokens=1):
        with wait_at_most(0.1):
            with pytest.raises(QueueTimeout, match="within 0.1 s"):
                await client.complete(HELLO, queue_timeout=60)
            with pytest.raises(QueueTimeout):
                async with client.lease(input_tokens=1, timeout=60):
                    pass
