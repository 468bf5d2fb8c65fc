"""`timeout` bounds a whole call, whatever keeps it: the provider, the limits, a pause, Redis."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llm_fleet.errors import (
    CallTimeout,
    CoordinationError,
    LLMFleetError,
    ProviderError,
    QueueTimeout,
    Throttled,
)
from llm_fleet.providers import adapter_for
from tests.managers import HELLO, entry, manager_of, provider, settled

TIMEOUT_S = 1.5
AT_MOST_S = TIMEOUT_S + 1


@pytest.fixture(autouse=True)
def _sdk_is_loaded() -> None:
    """On a busy machine that alone may take longer than these calls may."""
    adapter_for("anthropic").load()


async def ended(manager: Any, *, stream: bool = False) -> LLMFleetError:
    """The error that a call with this timeout ends with, in time."""

    async def read() -> None:
        async for _ in client.stream_complete(HELLO, timeout=TIMEOUT_S):
            pass

    client, started = manager.get_client(), time.monotonic()
    with pytest.raises(LLMFleetError) as caught:
        await (read() if stream else client.complete(HELLO, timeout=TIMEOUT_S))
    assert time.monotonic() - started < AT_MOST_S
    return caught.value


SLOW_PROVIDERS: dict[str, tuple[dict[str, Any], Any]] = {
    "it hangs": ({"latency_s": 30}, CallTimeout),
    "it stalls": ({"faults": [{"kind": "stall", "after_chunks": 1}]}, CallTimeout),
    "it is overloaded": ({"faults": [{"kind": "status", "status": 529}]}, ProviderError | CallTimeout),
    "it pauses for long": ({"faults": [{"kind": "status", "status": 429, "retry_after_s": 30}]}, Throttled),
    "it pauses again": ({"faults": [{"kind": "status", "status": 429, "retry_after_s": 1}]}, Throttled),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", SLOW_PROVIDERS)
async def test_a_slow_provider_is_not_waited_for(simulator, redis_url, namespace, fault, stream):
    """However the provider takes its time, also over many attempts, and nothing stays in flight."""
    behaviour, kind = SLOW_PROVIDERS[fault]
    sim = simulator(provider(**behaviour))
    retries = {"settings": {"max_retries": 50}}
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, **retries)) as manager:
        assert isinstance(await ended(manager, stream=stream), kind)
        assert (await settled(manager))["leases"] == 0


async def test_the_error_says_what_the_call_waited_for(simulator, redis_url, namespace):
    """A provider that hangs: provider, model, key id and attempt, and what to do."""
    sim = simulator(provider(latency_s=30))
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url)) as manager:
        error = await ended(manager)
        (key_id,) = (await settled(manager))["keys"]
        assert (await manager.explain(error.ticket or "")).state == "settled"
    message = str(error)
    assert "provider anthropic, model claude-haiku-5-5" in message
    assert f"attempt 1 on key {key_id} waited for the provider's answer" in message
    assert "Raise timeout" in message


async def test_a_provider_that_accepts_no_connection_is_not_waited_for(redis_url, namespace):
    """A port that listens and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with manager_of(redis_url, namespace, anthropic=entry(url)) as manager:
            assert isinstance(await ended(manager), CallTimeout)


@pytest.mark.parametrize(
    ("limits", "binds"),
    [({"requests_per_minute": 1}, "requests_per_minute"), ({"max_concurrent_requests": 1}, "concurrency")],
)
async def test_limits_that_do_not_let_it_pass_are_not_waited_for(redis_url, namespace, limits, binds):
    """The wait ends a little before the call, so that the error can say what binds, and on which key."""
    async with (
        manager_of(redis_url, namespace, anthropic=entry("http://127.0.0.1:9", limits=limits)) as manager,
        manager.get_client().lease(input_tokens=1),
    ):
        error = await ended(manager)
    assert isinstance(error, QueueTimeout)
    assert (error.provider, error.lane, error.resource) == ("anthropic", "*", binds)
    assert f"{binds} on key {error.key_id} binds" in str(error)


async def test_a_redis_that_freezes_is_not_waited_for(own_server, simulator, namespace):
    """Frozen before the call and while it waits in the queue; calls that its part permits pass, also meanwhile."""
    server, sim = own_server(), simulator(provider())
    limits = {"max_concurrent_requests": 1}
    async with manager_of(server.url, namespace, anthropic=entry(sim.url, limits=limits)) as manager:
        async with manager.get_client().lease(input_tokens=1):
            queued = asyncio.create_task(ended(manager))
            await asyncio.sleep(0.3)
            server.freeze()
            await queued
            error = await ended(manager)
            assert isinstance(error, CoordinationError)
            assert "127.0.0.1" in str(error)
            assert error.ticket
        await manager.get_client().complete(HELLO, timeout=10)
        server.thaw()
        await manager.get_client().complete(HELLO, timeout=10)


async def test_a_redis_that_dies_is_not_waited_for(own_server, redis_url, namespace):
    """Nobody listens any more: the error says so."""
    server = own_server()
    async with manager_of(server.url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        await manager.fleet_status()
        server.kill()
        assert isinstance(await ended(manager), CoordinationError)


FIRST_CALL = """
import asyncio, json, sys, time
from tests.managers import HELLO, entry, manager_of

async def main(redis_url, namespace, url, kind):
    looks = []

    async def look():
        while True:
            looks.append(time.monotonic())
            await asyncio.sleep(0)

    async with manager_of(redis_url, namespace, p=entry(url, kind=kind)) as manager:
        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        await manager.get_client().complete(HELLO)
        looking.cancel()
    gaps = [late - early for early, late in zip(looks, looks[1:])]
    print(json.dumps([max(gaps), looks[-1] - looks[0], sorted({"anthropic", "openai"} & set(sys.modules))]))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
def test_the_first_call_does_not_hold_up_the_loop(simulator, redis_url, namespace, kind):
    """The SDK is loaded beside the loop: other tasks, and timeouts, go on while it is."""
    command = [sys.executable, "-c", FIRST_CALL, redis_url, namespace, simulator(provider()).url, kind]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert ran.returncode == 0, ran.stderr
    longest, whole, loaded = json.loads(ran.stdout)
    assert loaded == [kind]
    assert longest < whole / 3
