"""The store on a bad line: answers cut, held up, split, replaced; commands cancelled in between."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from llm_fleet.embedded import PrivateServer
from llm_fleet.errors import CoordinationError
from llm_fleet.store import Store
from tests.fault_proxy import (
    FaultProxy,
    byte_by_byte,
    cut_after,
    instead,
    late,
    once,
    proxy_to,
    silent,
    whole,
)
from tests.scripts import Echo

Open = Callable[..., Store]


@pytest.fixture
async def proxy(server: PrivateServer) -> AsyncIterator[FaultProxy]:
    """A fault proxy before the shared server."""
    async with proxy_to(server) as running:
        yield running


async def all_of(store: Store, count: int) -> list[str]:
    return await asyncio.gather(*(store.call("ECHO", n) for n in range(count)))


async def test_answers_may_be_split_anywhere(proxy: FaultProxy, open_store: Open) -> None:
    """Answers of every kind arrive whole, also when each byte comes in a packet of its own."""
    proxy.spoil = byte_by_byte
    store = open_store(proxy.url)
    await store.call("DEL", "list")
    assert await store.call("RPUSH", "list", "é" * 50, "", 3) == 3
    assert await store.call("LRANGE", "list", 0, -1) == ["é" * 50, "", "3"]
    assert await store.call("GET", "no such key") is None
    assert await store.script(Echo("return {1, {'a', {}}, false}"), ["k"], []) == [1, ["a", []], None]
    assert await all_of(store, 20) == [str(n) for n in range(20)]


async def test_commands_do_not_wait_for_each_others_answers(proxy: FaultProxy, open_store: Open) -> None:
    """All that tasks ask at once is sent before the first answer, over one connection."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.flows.clear()
    waiting = asyncio.create_task(all_of(store, 100))
    async with asyncio.timeout(2):
        while proxy.asked.count(b"ECHO") < 100:
            await asyncio.sleep(0.01)
    proxy.flows.set()
    assert await waiting == [str(n) for n in range(100)]
    assert proxy.connections == 1


async def test_a_cancelled_command_keeps_its_answer_to_itself(proxy: FaultProxy, open_store: Open) -> None:
    """The answers behind that of a cancelled command go to those who asked."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.flows.clear()
    tasks = [asyncio.create_task(store.call("ECHO", n)) for n in range(9)]
    await asyncio.sleep(0.05)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.sleep(0)
    last = asyncio.create_task(store.call("ECHO", "last"))
    proxy.flows.set()
    assert [await task for task in tasks[1::2]] == ["1", "3", "5", "7"]
    assert (await last, proxy.connections) == ("last", 1)


async def test_a_command_that_cannot_be_sent_takes_no_answer(proxy: FaultProxy, open_store: Open) -> None:
    """What is no text and no number is the caller's mistake; the calls beside it get their answers."""
    store = open_store(proxy.url)
    await store.call("PING")
    wrong = asyncio.gather(store.call("ECHO", None), store.call("ECHO", "\ud800"), return_exceptions=True)  # type: ignore[arg-type]
    assert await all_of(store, 5) == [str(n) for n in range(5)]
    assert [type(error) for error in await wrong] == [TypeError, UnicodeEncodeError]
    assert proxy.connections == 1


@pytest.mark.parametrize("count", [0, 1, 5, 6])
async def test_a_cut_in_mid_answer_is_made_good_once(count: int, proxy: FaultProxy, open_store: Open) -> None:
    """A connection that was used before and is cut is replaced, and all that was on it asked again."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.spoil = once(proxy, cut_after(count))
    assert await all_of(store, 10) == [str(n) for n in range(10)]
    assert proxy.connections == 2


async def test_what_is_cut_again_and_again_is_an_error(proxy: FaultProxy, open_store: Open) -> None:
    """It is tried twice, not for ever; when the line is good again, the next call is answered."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.spoil = cut_after(3)
    with pytest.raises(CoordinationError, match="cannot be reached: the connection was closed"):
        await store.call("PING")
    assert proxy.connections == 2
    proxy.spoil = whole
    assert await store.call("PING") == "PONG"


async def test_a_stall_fails_all_that_is_in_flight_in_time(proxy: FaultProxy, open_store: Open) -> None:
    """After the time of the oldest command all fail, nothing is asked again, and the next call works."""
    store = open_store(proxy.url, command_timeout_s=0.2)
    await store.call("PING")
    proxy.flows.clear()
    started = time.monotonic()
    failures = await asyncio.gather(*(store.call("ECHO", n) for n in range(10)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {CoordinationError}
    assert all("did not answer ECHO within 0.2 s" in str(failure) for failure in failures)
    assert time.monotonic() - started < 0.5
    proxy.flows.set()
    assert await store.call("ECHO", "next") == "next"
    assert proxy.asked.count(b"ECHO") == 11


async def test_a_half_open_connection_is_given_up(proxy: FaultProxy, open_store: Open) -> None:
    """A line that swallows everything without a word ends the wait in time, and is not used again."""
    store = open_store(proxy.url, command_timeout_s=0.2)
    await store.call("PING")
    proxy.spoil = instead(b"")
    with pytest.raises(CoordinationError, match="did not answer PING within 0.2 s"):
        await store.call("PING")
    proxy.spoil = whole
    assert await store.call("PING") == "PONG"
    assert proxy.connections == 2


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x02", b"$-5\r\nx\r\n"])
async def test_garbage_is_told_and_ends_the_connection(
    garbage: bytes, proxy: FaultProxy, open_store: Open
) -> None:
    """What is no answer of Redis is an error that says so, for all in flight; nothing is asked again."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.spoil = instead(garbage)
    failures = await asyncio.gather(store.call("PING"), store.call("PING"), return_exceptions=True)
    assert all("what answers there is no Redis" in str(failure) for failure in failures)
    proxy.spoil = whole
    assert (await store.call("PING"), proxy.connections) == ("PONG", 2)


async def test_more_answers_than_questions_end_the_connection(proxy: FaultProxy, open_store: Open) -> None:
    """An answer to nothing is never kept for the next question."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.spoil = instead(b"+PONG\r\n+NOT YOURS\r\n")
    assert await store.call("PING") == "PONG"
    proxy.spoil = whole
    assert (await store.call("ECHO", "mine"), proxy.connections) == ("mine", 2)


async def test_a_slow_server_is_no_fault(proxy: FaultProxy, open_store: Open) -> None:
    """Each command has its own time: a line with a long way loses none of a steady stream."""
    store = open_store(proxy.url, command_timeout_s=0.4)
    await store.call("PING")
    proxy.spoil = late(0.2)

    async def ask(n: int) -> str:
        await asyncio.sleep(n * 0.05)
        return str(await store.call("ECHO", n))

    assert await asyncio.gather(*(ask(n) for n in range(12))) == [str(n) for n in range(12)]
    assert proxy.connections == 1


async def test_a_loading_server_is_told_and_stays_connected(proxy: FaultProxy, open_store: Open) -> None:
    """-LOADING is an answer like any other: the connection goes on."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.spoil = instead(b"-LOADING Redis is loading the dataset in memory\r\n")
    with pytest.raises(CoordinationError, match="is still loading its data"):
        await store.call("PING")
    proxy.spoil = whole
    assert (await store.call("PING"), proxy.connections) == ("PONG", 1)


async def test_a_server_that_never_lets_us_in_is_asked_once_by_all(
    proxy: FaultProxy, open_store: Open
) -> None:
    """Tasks that need a connection wait for the same attempt, and no longer than for one."""
    proxy.flows.clear()
    store, started = open_store(proxy.url, connect_timeout_s=0.3), time.monotonic()
    failures = await asyncio.gather(*(store.call("PING") for _ in range(20)), return_exceptions=True)
    assert all("could not be reached within 0.3 s" in str(failure) for failure in failures)
    assert time.monotonic() - started < 0.8
    assert proxy.connections == 1


async def test_who_gives_up_while_it_connects_takes_nobody_along(proxy: FaultProxy, open_store: Open) -> None:
    """The task that began to connect may be cancelled; the others get their connection."""
    proxy.flows.clear()
    store = open_store(proxy.url)
    first, second = (asyncio.create_task(store.call("ECHO", n)) for n in (1, 2))
    await asyncio.sleep(0.05)
    first.cancel()
    proxy.flows.set()
    assert (await second, proxy.connections) == ("2", 1)


async def test_close_ends_everything_at_once(proxy: FaultProxy, open_store: Open) -> None:
    """Calls in flight, pops, and who is about to connect get an error, and no connection is left."""
    store = open_store(proxy.url)
    await store.call("PING")
    proxy.flows.clear()
    tasks = [asyncio.create_task(store.call("PING")), asyncio.create_task(store.pop(["list"], 5))]
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await store.close()
    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(failure) for failure in failures} == {CoordinationError}
    assert time.monotonic() - started < 0.5


async def test_a_pop_is_made_good_once(proxy: FaultProxy, open_store: Open) -> None:
    """A pop whose connection is cut, after it was used before, waits on with a new one."""
    store = open_store(proxy.url)
    await store.call("DEL", "list")
    assert await store.pop(["list"], 0.01) is None
    waiting = asyncio.create_task(store.pop(["list"], 5))
    await asyncio.sleep(0.05)
    proxy.cut()
    await store.call("RPUSH", "list", "entry")
    assert await waiting == ("list", "entry")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_the_line_does_an_answer_is_that_of_its_question(
    seed: int, proxy: FaultProxy, open_store: Open
) -> None:
    """Cuts anywhere, splits, stalls and cancelled tasks: calls fail or get what they asked for."""
    chance, answered = Random(seed), Counter[bool]()
    store = open_store(proxy.url, command_timeout_s=0.05, connect_timeout_s=0.05)

    async def ask(number: int) -> None:
        try:
            async with asyncio.timeout(chance.choice([0.0, 0.001, 0.01, 5.0])):
                answered[await store.call("ECHO", number) == str(number)] += 1
        except (TimeoutError, CoordinationError):
            pass

    for number in range(40):
        spoil = chance.choice([whole, byte_by_byte, cut_after(chance.randrange(40)), silent])
        proxy.spoil = once(proxy, spoil)
        await asyncio.gather(*(ask(100 * number + i) for i in range(chance.randrange(1, 20))))
    assert answered[False] == 0
    assert answered[True] > 20
