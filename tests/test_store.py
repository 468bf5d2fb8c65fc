"""The store: commands, scripts and pops; few connections; servers that freeze, die and come back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import redis

from llm_fleet.embedded import PrivateServer
from llm_fleet.errors import CoordinationError
from llm_fleet.store import Store, StoreOptions
from tests.scripts import Echo
from tests.waiting import eventually

Open = Callable[..., Store]
OwnServer = Callable[..., PrivateServer]


async def test_a_command_gets_redis_own_answer(redis_url: str, open_store: Open) -> None:
    """Strings are text, integers are integers, a missing value is None."""
    store = open_store(redis_url)
    assert await store.call("RPUSH", "list", "é", 2, 3.5) == 3
    assert await store.call("LRANGE", "list", 0, -1) == ["é", "2", "3.5"]
    assert await store.call("GET", "none") is None


async def test_making_a_store_opens_nothing(own_server: OwnServer, open_store: Open) -> None:
    """The first call connects, and all calls of a task share that connection."""
    server = own_server()
    store = open_store(server.url)
    with redis.Redis.from_url(server.url) as client:
        assert len(client.client_list()) == 1
        for _ in range(10):
            await store.call("PING")
        assert [c["name"] for c in client.client_list()].count("llm_fleet") == 1


async def test_any_number_of_tasks_share_a_few_connections(own_server: OwnServer, open_store: Open) -> None:
    """400 calls at once use no more than the configured connections, and none fails."""
    server = own_server()
    store = open_store(server.url)
    answers = await asyncio.gather(*(store.call("ECHO", n) for n in range(400)))
    assert answers == [str(n) for n in range(400)]
    with redis.Redis.from_url(server.url) as client:
        assert [c["name"] for c in client.client_list()].count("llm_fleet") == 1


async def test_a_script_runs_where_nobody_has_loaded_it(redis_url: str, open_store: Open) -> None:
    """NOSCRIPT, also after SCRIPT FLUSH, is answered by the same call with the text."""
    store = open_store(redis_url)
    for _ in range(2):
        await store.call("SCRIPT", "FLUSH")
        assert await store.script(Echo(), ["k"], ["a", 2]) == ["k", "a", 2]
    assert await store.call("SCRIPT", "EXISTS", Echo().sha) == [1]


async def test_a_restart_of_redis_is_invisible(own_server: OwnServer, open_store: Open) -> None:
    """The next call finds the new server, by a new connection and with the text of the script."""
    server = own_server()
    store = open_store(server.url)
    await store.script(Echo(), ["k"], ["a"])
    server.restart()
    assert await store.script(Echo(), ["k"], ["a"]) == ["k", "a", 1]


async def test_a_script_error_is_the_servers_sentence(redis_url: str, open_store: Open) -> None:
    """What a script raises arrives as CoordinationError with the words of the script."""
    store = open_store(redis_url)
    with pytest.raises(CoordinationError, match=r"answered EVAL(SHA)? with an error: .*the words"):
        await store.script(Echo('return error("the words")'), ["k"], [])


async def test_pop_gives_the_key_and_the_entry(redis_url: str, open_store: Open) -> None:
    """An entry that comes while it waits is returned at once, with the list it was in."""
    store = open_store(redis_url)
    waiting = asyncio.create_task(store.pop(["one", "two"], 5))
    await asyncio.sleep(0.05)
    await store.call("RPUSH", "two", "entry")
    assert await asyncio.wait_for(waiting, 1) == ("two", "entry")


async def test_pop_is_none_at_the_timeout(redis_url: str, open_store: Open) -> None:
    """Without an entry it answers None after its time, also when that is longer than a command's."""
    store = open_store(redis_url, command_timeout_s=0.3)  # a server looks ten times a second for pops that are over
    started = time.monotonic()
    assert await store.pop(["none"], 0.4) is None
    assert 0.35 < time.monotonic() - started < 1


async def test_a_cancelled_pop_leaves_no_trace(own_server: OwnServer, open_store: Open) -> None:
    """Its connection is closed, and the next entry goes to the next pop, not to a dead one."""
    server = own_server()
    store = open_store(server.url)
    waiting = asyncio.create_task(store.pop(["list"], 5))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        assert await asyncio.to_thread(eventually, lambda: client.info("clients")["blocked_clients"] == 0)
    await store.call("RPUSH", "list", "entry")
    assert await store.pop(["list"], 1) == ("list", "entry")


async def test_a_cancelled_call_desyncs_nothing(redis_url: str, open_store: Open) -> None:
    """An answer that nobody waits for is never taken for the answer of the next call."""
    store = open_store(redis_url)
    for n in range(20):
        call = asyncio.create_task(store.call("ECHO", "cancelled"))
        for _ in range(n % 5):
            await asyncio.sleep(0)
        call.cancel()
        assert await store.call("ECHO", n) == str(n)


async def test_a_frozen_server_is_an_error_in_time(own_server: OwnServer, open_store: Open) -> None:
    """The call ends after `command_timeout_s`, on an open connection and on a new one."""
    server = own_server()
    store = open_store(server.url, command_timeout_s=0.2, connect_timeout_s=0.2)
    await store.call("PING")
    server.freeze()
    for words in ("did not answer PING within 0.2 s", "could not be reached within 0.2 s"):
        started = time.monotonic()
        with pytest.raises(CoordinationError, match=words):
            await store.call("PING")
        assert time.monotonic() - started < 0.5
    server.thaw()
    assert await store.call("PING") == "PONG"


async def test_a_frozen_server_ends_a_pop_in_time(own_server: OwnServer, open_store: Open) -> None:
    """A pop ends with an error when the server is silent beyond its time."""
    server = own_server()
    store = open_store(server.url, command_timeout_s=0.2)
    await store.call("PING")
    waiting = asyncio.create_task(store.pop(["list"], 0.2))
    await asyncio.sleep(0.05)
    server.freeze()
    with pytest.raises(CoordinationError, match=r"did not answer BLPOP within 0\.4 s"):
        await asyncio.wait_for(waiting, 2)


async def test_a_killed_server_is_an_error_until_it_is_back(own_server: OwnServer, open_store: Open) -> None:
    """Calls and pops fail at once, say where, and work again after the restart."""
    server = own_server()
    store = open_store(server.url)
    waiting = asyncio.create_task(store.pop(["list"], 5))
    await store.call("PING")
    server.kill()
    with pytest.raises(CoordinationError, match="cannot be reached"):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(CoordinationError, match=f"redis://127.0.0.1:{server.port}/0 cannot be reached"):
        await store.call("PING")
    server.restart()
    assert await store.call("PING") == "PONG"


async def test_a_unix_socket_and_a_database(own_server: OwnServer, open_store: Open) -> None:
    """unix:// works, with a password and a database of its own."""
    server = own_server(settings={"unixsocket": "server.sock"})
    store = open_store(f"unix://:{server.password}@{server.directory}/server.sock?db=2")
    await store.call("SET", "a", "1")
    assert store.description == f"unix://{server.directory}/server.sock?db=2"
    with redis.Redis.from_url(server.url.removesuffix("/0") + "/2") as client:
        assert client.get("a") == b"1"


async def test_another_loop_is_refused(redis_url: str) -> None:
    """A store belongs to the loop that used it first; another gets a clear error."""
    store = Store(StoreOptions(redis_url))
    await store.call("PING")
    with pytest.raises(RuntimeError, match="belongs to the process and event loop that used it first"):
        await asyncio.to_thread(asyncio.run, store.call("PING"))
    await store.close()


FORK = """
import asyncio, gc, os, sys, threading
from llm_fleet.store import Store, StoreOptions

async def child():
    store = Store(StoreOptions(sys.argv[1]))
    await store.call("SET", "a", "from the child")
    await store.close()

async def parent():
    store = Store(StoreOptions(sys.argv[1]))
    waiting = asyncio.create_task(store.pop(["list"], 5))
    await store.call("PING")
    calls = [asyncio.create_task(store.call("ECHO", n)) for n in range(50)]
    await asyncio.sleep(0)
    if os.fork() == 0:
        store = waiting = calls = None
        gc.collect()
        thread = threading.Thread(target=asyncio.run, args=[child()])
        thread.start()
        thread.join()
        os._exit(0)
    os.wait()
    await store.call("RPUSH", "list", "entry")
    assert await asyncio.gather(*calls) == [str(n) for n in range(50)]
    print(await asyncio.wait_for(waiting, 1), await store.call("GET", "a"))
    await store.close()

asyncio.run(parent())
"""


def test_a_fork_leaves_the_parents_connections_alone(redis_url: str) -> None:
    """A child opens a store of its own; the parent's pop and calls, some on their way, go on."""
    ran = subprocess.run([sys.executable, "-c", FORK, redis_url], capture_output=True, text=True, timeout=10)
    assert ran.stdout == "('list', 'entry') from the child\n", ran.stderr


async def test_a_closed_store_is_refused(redis_url: str) -> None:
    """After close() a call is a clear error; a second close() is harmless."""
    store = Store(StoreOptions(redis_url))
    await store.call("PING")
    await store.close()
    await store.close()
    with pytest.raises(RuntimeError, match="closed"):
        await store.call("PING")
