"""LLMManager: one per process, shared by its loops; limits from code; clear refusals."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from contextlib import aclosing

import pytest
import redis

import llm_fleet
from llm_fleet import ConfigError, LLMProvider, ManagerClosed, get_llm_manager
from llm_fleet.config import parse_config
from llm_fleet.manager import LLMManager
from llm_fleet.middleware.rate_limiter import RateLimitConfig
from tests.managers import HELLO, config_text, entry, manager_of, provider, settled


@pytest.fixture
def config_path(tmp_path, monkeypatch, simulator, redis_url, namespace):
    """LLM_CONFIG_PATH names a config with a simulated provider."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    path = tmp_path / "llm.yaml"
    path.write_text(config_text(redis_url, namespace, anthropic=entry(simulator(provider()).url)))
    monkeypatch.setenv("LLM_CONFIG_PATH", str(path))
    return path


async def test_there_is_one_manager_per_process_until_it_is_closed(config_path):
    """get_llm_manager() gives the same one; after close() a new one."""
    first, same = await asyncio.gather(get_llm_manager(), get_llm_manager())
    assert first is same
    await first.close()
    second = await get_llm_manager()
    assert second is not first
    await second.close()


def test_a_manager_serves_several_event_loops(config_path):
    """asyncio.run() again and again, and loops in threads: one manager, no error."""

    async def call():
        manager = await get_llm_manager()
        return (await manager.get_client(LLMProvider.ANTHROPIC).complete(HELLO)).content

    async def close():
        await (await get_llm_manager()).close()

    for _ in range(3):
        assert asyncio.run(call())
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(call()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 3
    asyncio.run(close())


async def test_limits_from_code_replace_the_files_for_the_whole_fleet(simulator, redis_url, namespace):
    """RateLimitConfig(...) wins in every process; a restart with the file does not roll it back."""
    sim = simulator(provider())
    entries = {"anthropic": entry(sim.url, limits={"requests_per_minute": 5})}
    async with manager_of(redis_url, namespace, **entries) as manager:
        await manager.get_client().complete(HELLO)
        config = RateLimitConfig(requests_per_minute=20, max_concurrent_requests=5)
        client = await manager.get_or_create_client(LLMProvider.ANTHROPIC, rate_limit_config=config)
        await client.complete(HELLO)
        async with manager_of(redis_url, namespace, **entries) as restarted:
            await restarted.get_client().complete(HELLO)
            (domain,) = (await settled(restarted))["domains"].values()
    assert (domain["source"], domain["concurrency"]) == ("code", 5)
    assert domain["lanes"]["*"][0]["limit"] == 20


async def test_the_default_provider_needs_no_name(redis_url, namespace):
    """No argument: the config's default; an unknown name lists what there is."""
    async with manager_of(redis_url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        assert manager.get_client().provider == "anthropic"
        with pytest.raises(ConfigError, match="groq.*anthropic"):
            manager.get_client("groq")


async def test_a_closed_manager_names_the_remedy(redis_url, namespace):
    """Every use after close() is ManagerClosed; closing twice is once."""
    async with manager_of(redis_url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        await manager.close()
        with pytest.raises(ManagerClosed, match="get_llm_manager"):
            manager.get_client()


def test_no_redis_names_the_three_ways_out(namespace):
    """Without a URL the library raises: REDIS_URL, redis.url, embedded."""
    text = config_text("x", namespace, anthropic=entry("http://127.0.0.1:9")).replace('"url": "x", ', "")
    with pytest.raises(ConfigError, match=r"REDIS_URL.*redis\.url.*embedded"):
        LLMManager(parse_config(text, env={}))


async def test_an_embedded_server_needs_no_redis(simulator, namespace):
    """`url: embedded`: a private server on this machine."""
    sim = simulator(provider())
    async with manager_of("embedded", namespace, anthropic=entry(sim.url)) as manager:
        assert (await manager.get_client().complete(HELLO)).content


def left_behind(redis_url: str) -> dict[str, int]:
    """What this process holds: descriptors, threads, tasks, futures, and connections to Redis."""
    gc.collect()
    with redis.Redis.from_url(redis_url) as client:
        connections = len(client.client_list())
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "futures": sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects()),
        "connections": connections,
    }


@pytest.mark.parametrize("calls", [200, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_many_calls_leave_nothing_behind(simulator, redis_url, namespace, calls):
    """After twice as many calls, whole ones, streams and streams left half-read, all is as it was."""
    sim = simulator(provider(latency_s=0))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        client, counts = manager.get_client(), []

        async def one(number):
            if number % 5:
                return await client.complete(HELLO, max_tokens=20)
            async with aclosing(client.stream_complete(HELLO, max_tokens=20)) as stream:
                async for _ in stream:
                    if number % 10:
                        break

        for _ in range(2):
            for _ in range(calls // 50):
                await asyncio.gather(*(one(number) for number in range(50)))
            pool = await settled(manager)
            assert (pool["leases"], pool["waiting"]) == (0, 0)
            counts.append(left_behind(redis_url))
        assert len(sim.books()["requests"]) == 2 * calls
    before, after = counts
    assert {name: count for name, count in after.items() if count > before[name]} == {}


def test_the_public_names_are_sorted_and_there():
    """__all__ is what users import."""
    assert llm_fleet.__all__ == sorted(llm_fleet.__all__)
    assert all(hasattr(llm_fleet, name) for name in llm_fleet.__all__)


def test_importing_opens_nothing_and_loads_no_sdk():
    """`import llm_fleet` starts no thread, opens no socket and imports no vendor SDK."""
    code = (
        "import sys, threading, llm_fleet;"
        "assert not {'anthropic', 'openai', 'httpx2'} & set(sys.modules);"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
