"""ClientPool: one SDK client per key, shared by many calls, replaced, closed, and watched."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from llm_fleet.config import PoolConfig
from llm_fleet.errors import (
    ConfigError,
    ManagerClosed,
    PoolExhausted,
    ProviderUnavailable,
    RequestRefused,
    StreamInterrupted,
)
from llm_fleet.pool import ClientPool


class Sdk:
    """An SDK client that only knows its key, and whether it was closed."""

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.closed = False


class Adapter:
    """Opens `Sdk` clients and remembers them all."""

    kind = "fake"

    def __init__(self) -> None:
        self.opened: list[Sdk] = []
        self.loaded = 0
        self.broken = False

    def load(self) -> None:
        self.loaded += 1

    def open_client(self, *, api_key: str, base_url: str | None, timeout: float) -> Sdk:
        if self.broken:
            raise OSError("broken")
        self.opened.append(Sdk(api_key))
        return self.opened[-1]

    async def close_client(self, sdk: Sdk) -> None:
        sdk.closed = True

    def open_keys(self) -> list[str]:
        return [sdk.api_key for sdk in self.opened if not sdk.closed]


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def adapter() -> Adapter:
    return Adapter()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pool_of(adapter: Adapter, clock: Clock, keys: int = 2, **options: Any) -> ClientPool:
    """A pool over keys a, b, c …; key ids are their capitals."""
    defaults = {"min_size": 0, "acquire_timeout": 0.05, "idle_timeout": 60, "max_lifetime": 600}
    names = "abcdefgh"[:keys]
    secrets = {name.upper(): SecretStr(name) for name in names}
    return ClientPool(adapter, secrets, PoolConfig(**(defaults | options)), clock=clock)


async def use(pool: ClientPool, key_id: str) -> Any:
    async with pool.client(key_id) as sdk:
        return sdk


async def fail(pool: ClientPool, error: BaseException) -> None:
    async with pool.client("A"):
        raise error


async def test_a_client_belongs_to_its_key_and_is_used_again(adapter: Adapter, clock: Clock) -> None:
    """Two calls of one key share a client; another key has its own."""
    pool = pool_of(adapter, clock)
    first, again, other = await use(pool, "A"), await use(pool, "A"), await use(pool, "B")
    assert first is again
    assert (first.api_key, other.api_key) == ("a", "b")


async def test_one_client_serves_many_calls_at_once(adapter: Adapter, clock: Clock) -> None:
    """400 calls at once through a pool of one client: nobody waits, one client is opened."""
    pool = pool_of(adapter, clock, keys=1)
    async with AsyncExitStack() as calls:
        for _ in range(400):
            await calls.enter_async_context(pool.client("A"))
        assert pool.status()["in_use_clients"] == 1
    assert len(adapter.opened) == 1


async def test_the_sdk_is_loaded_once_by_the_first_of_many_calls(adapter: Adapter, clock: Clock) -> None:
    """A hundred calls that begin together load it once, and before any client is opened."""
    pool = pool_of(adapter, clock)
    assert adapter.loaded == 0
    await asyncio.gather(*(use(pool, "A") for _ in range(100)))
    assert adapter.loaded == 1


async def test_the_idle_client_used_least_recently_is_replaced(adapter: Adapter, clock: Clock) -> None:
    """A full pool closes the client that has been idle longest."""
    pool = pool_of(adapter, clock, keys=3, max_size=2)
    for key_id in "ABA":
        clock.now += 1
        await use(pool, key_id)
    await use(pool, "C")
    assert adapter.open_keys() == ["a", "c"]


async def test_all_clients_busy_with_other_keys_is_an_error_after_the_timeout(
    adapter: Adapter, clock: Clock
) -> None:
    """The message has the words of the manual, and the remedy."""
    pool = pool_of(adapter, clock, max_size=1)
    async with pool.client("A"):
        with pytest.raises(PoolExhausted, match=r"Could not acquire client within timeout .*pool\.max_size"):
            await use(pool, "B")


async def test_a_waiting_call_gets_the_client_that_becomes_free(adapter: Adapter, clock: Clock) -> None:
    """Waiting ends as soon as a client is idle."""
    pool = pool_of(adapter, clock, max_size=1, acquire_timeout=5)
    async with pool.client("A"):
        waiting = asyncio.create_task(use(pool, "B"))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert (await waiting).api_key == "b"
    assert adapter.open_keys() == ["b"]


async def test_a_busy_key_does_not_starve_another(adapter: Adapter, clock: Clock) -> None:
    """While a call waits for a place, later calls queue up behind it, also for an open client."""
    pool = pool_of(adapter, clock, max_size=1, acquire_timeout=5)
    order: list[str] = []

    async def call(key_id: str) -> None:
        async with pool.client(key_id):
            order.append(key_id)
            await asyncio.sleep(0.001)

    await asyncio.gather(*[call(key_id) for key_id in "AABAAA"])
    assert order == list("AABAAA")


async def test_a_waiting_call_that_is_cancelled_leaves_nothing(adapter: Adapter, clock: Clock) -> None:
    """A cancelled wait neither takes a place nor blocks the queue."""
    pool = pool_of(adapter, clock, max_size=1, acquire_timeout=5)
    async with pool.client("A"):
        waiting = asyncio.create_task(use(pool, "B"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (await use(pool, "B")).api_key == "b"
    assert pool.status()["in_use_clients"] == 0


async def test_min_size_is_opened_at_first_use(adapter: Adapter, clock: Clock) -> None:
    """Nothing is opened before the first call, then min_size at once."""
    pool = pool_of(adapter, clock, keys=3, min_size=2)
    assert adapter.opened == []
    await use(pool, "C")
    assert adapter.open_keys() == ["c", "a"]


async def test_idle_clients_are_closed_down_to_min_size(adapter: Adapter, clock: Clock) -> None:
    """After idle_timeout only min_size clients stay open."""
    pool = pool_of(adapter, clock, keys=3, min_size=1)
    for key_id in "ABC":
        await use(pool, key_id)
    clock.now += 61
    await use(pool, "C")
    assert adapter.open_keys() == ["c"]


async def test_a_client_is_replaced_after_max_lifetime(adapter: Adapter, clock: Clock) -> None:
    """A call that still uses the old client finishes with it; it is closed afterwards."""
    pool = pool_of(adapter, clock)
    async with pool.client("A") as old:
        clock.now += 600
        new = await use(pool, "A")
        assert new is not old
        assert not old.closed
    await use(pool, "A")
    assert old.closed
    assert not new.closed


async def test_three_errors_in_a_row_take_a_client_out(adapter: Adapter, clock: Clock) -> None:
    """Two errors change nothing, nor do errors with a success between them."""
    pool = pool_of(adapter, clock)
    for report in (pool.failed, pool.failed, pool.succeeded, pool.failed, pool.failed):
        report("A")
    assert pool.status()["client_statuses"][0]["is_available"]
    pool.failed("A")
    with pytest.raises(PoolExhausted, match="3 calls in a row got no answer"):
        await use(pool, "A")
    assert (await use(pool, "B")).api_key == "b"


async def test_one_trial_after_a_backoff_brings_it_back(adapter: Adapter, clock: Clock) -> None:
    """After the backoff one call goes first; the others follow when it was answered."""
    pool = pool_of(adapter, clock, acquire_timeout=5)
    for _ in range(3):
        pool.failed("A")
    clock.now += 1
    async with pool.client("A"):
        other = asyncio.create_task(use(pool, "A"))
        await asyncio.sleep(0.06)
        assert not other.done()
        pool.succeeded("A")
    assert (await other).api_key == "a"


async def test_a_failed_trial_doubles_the_backoff(adapter: Adapter, clock: Clock) -> None:
    """The fourth error in a row is waited out for two seconds."""
    pool = pool_of(adapter, clock)
    for _ in range(3):
        pool.failed("A")
    clock.now += 1
    with pytest.raises(ProviderUnavailable):
        await fail(pool, ProviderUnavailable("no answer"))
    clock.now += 1.5
    with pytest.raises(PoolExhausted):
        await use(pool, "A")
    clock.now += 0.5
    await use(pool, "A")


async def test_a_trial_that_is_cancelled_leaves_the_way_free(adapter: Adapter, clock: Clock) -> None:
    """A trial that tells nothing is followed by another one."""
    pool = pool_of(adapter, clock)
    for _ in range(3):
        pool.failed("A")
    clock.now += 1
    with pytest.raises(asyncio.CancelledError):
        await fail(pool, asyncio.CancelledError())
    assert pool.status()["client_statuses"][0]["error_count"] == 3
    await use(pool, "A")


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (ProviderUnavailable("no answer"), 1),
        (StreamInterrupted("broken off", text="Hel"), 1),
        (ProviderUnavailable("busy", status=529), 0),
        (RequestRefused("never sent"), 0),
        (ValueError("somebody's bug"), 0),
    ],
)
async def test_calls_without_an_answer_are_counted(
    adapter: Adapter, clock: Clock, error: Exception, counted: int
) -> None:
    """An error with a status is an answer; health is about the way to the provider."""
    pool = pool_of(adapter, clock)
    with pytest.raises(type(error)):
        await fail(pool, error)
    assert pool.status()["client_statuses"][0]["error_count"] == counted


async def test_status_counts_clients_and_names_keys_by_id(adapter: Adapter, clock: Clock) -> None:
    """The dictionary is that of the manual; no key is in it."""
    pool = pool_of(adapter, clock, keys=3)
    await use(pool, "B")
    for _ in range(3):
        pool.failed("C")
    async with pool.client("A"):
        assert pool.status() == {
            "total_clients": 2,
            "available_clients": 1,
            "in_use_clients": 1,
            "client_statuses": [
                {"client_id": "A", "is_available": True, "error_count": 0},
                {"client_id": "B", "is_available": True, "error_count": 0},
                {"client_id": "C", "is_available": False, "error_count": 3},
            ],
        }


async def test_close_closes_every_client_for_good(adapter: Adapter, clock: Clock) -> None:
    """A closed pool refuses calls and says what to do."""
    pool = pool_of(adapter, clock)
    await use(pool, "A")
    await pool.close()
    await pool.close()
    assert adapter.open_keys() == []
    with pytest.raises(ManagerClosed, match="get a new manager"):
        await use(pool, "A")


async def test_a_call_that_waits_while_the_pool_closes_is_refused(adapter: Adapter, clock: Clock) -> None:
    """Closing ends the wait, and opens nothing new."""
    pool = pool_of(adapter, clock, max_size=1, acquire_timeout=5)
    async with pool.client("A"):
        waiting = asyncio.create_task(use(pool, "B"))
        await asyncio.sleep(0)
        await pool.close()
    with pytest.raises(ManagerClosed):
        await waiting
    assert adapter.open_keys() == []


async def test_a_client_that_cannot_be_opened_leaves_nothing_behind(adapter: Adapter, clock: Clock) -> None:
    """Also when the failure was the one trial after a backoff."""
    pool = pool_of(adapter, clock)
    for _ in range(3):
        pool.failed("A")
    clock.now += 1
    adapter.broken = True
    with pytest.raises(OSError, match="broken"):
        await use(pool, "A")
    adapter.broken = False
    assert (await use(pool, "A")).api_key == "a"
    assert pool.status()["in_use_clients"] == 0


async def test_a_key_that_this_process_does_not_hold_is_refused(adapter: Adapter, clock: Clock) -> None:
    """The error names the key id and the place in the config."""
    with pytest.raises(ConfigError, match="'Z'.*api_keys"):
        await use(pool_of(adapter, clock), "Z")


def test_each_event_loop_has_clients_of_its_own(adapter: Adapter, clock: Clock) -> None:
    """A client is not used in another loop, and is closed by the end of its own."""
    pool = pool_of(adapter, clock)
    first = asyncio.run(use(pool, "A"))
    assert first.closed
    second = asyncio.run(use(pool, "A"))
    assert second is not first
    assert pool.status()["total_clients"] == 0


def test_clients_of_a_loop_that_was_not_ended_properly_are_dropped(adapter: Adapter, clock: Clock) -> None:
    """A loop closed without its farewells is forgotten at the next use elsewhere."""
    pool = pool_of(adapter, clock)
    loop = asyncio.new_event_loop()
    first = loop.run_until_complete(use(pool, "A"))
    loop.close()

    async def elsewhere() -> dict[str, Any]:
        await use(pool, "A")
        return pool.status()

    assert asyncio.run(elsewhere())["total_clients"] == 1
    assert first.closed


async def test_close_reaches_a_loop_in_another_thread(adapter: Adapter, clock: Clock) -> None:
    """Clients of a loop that runs elsewhere are closed there."""
    pool = pool_of(adapter, clock)
    used, closed = asyncio.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def elsewhere() -> None:
        sdk = await use(pool, "A")
        here.call_soon_threadsafe(used.set)
        while not sdk.closed:
            await asyncio.sleep(0.005)
        here.call_soon_threadsafe(closed.set)

    thread = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
    await used.wait()
    await pool.close()
    await asyncio.wait_for(closed.wait(), 5)
    await thread


def test_a_forked_child_opens_clients_of_its_own(adapter: Adapter, clock: Clock) -> None:
    """After a fork nothing of the parent's clients is used or closed."""
    pool = pool_of(adapter, clock)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(pool, "A"))
    reading, writing = os.pipe()
    if os.fork() == 0:
        asyncio.run(use(pool, "A"))
        os.write(writing, f"{len(adapter.opened)} {adapter.opened[0].closed}".encode())
        os._exit(0)
    os.wait()
    assert os.read(reading, 100) == b"2 False"
    assert not adapter.opened[0].closed
    loop.run_until_complete(pool.close())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    os.close(reading)
    os.close(writing)


def test_the_pool_shows_no_key(adapter: Adapter, clock: Clock) -> None:
    """Neither repr nor status hold a secret."""
    pool = ClientPool(adapter, {"A": SecretStr("sk-test-not-a-real-key-1")}, PoolConfig())
    assert "sk-test" not in f"{pool!r} {pool.status()}"
