"""One process of the fleet: tasks that call a provider in closed loops.

Takes its job as JSON in a line of standard input, prints `ready`, begins at the next line, and
prints what it saw as JSON. Knows nothing of the provider's books.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from llm_fleet.client import LLMClient
from llm_fleet.config import parse_config
from llm_fleet.errors import LLMFleetError, ProviderError, QueueTimeout
from llm_fleet.manager import LLMManager
from llm_fleet.models import Call, Message, MessageRole
from llm_fleet.providers import adapter_for

__all__ = ["Seen", "begin", "run_tasks"]

Json = dict[str, Any]
PATIENCE_S = 600.0
TEXT = "every ship waits for its turn and sails when the pilot says so; " * 1_000


@dataclass(slots=True)
class Seen:
    """What the tasks of this process saw; times in seconds."""

    answered: int = 0
    unserved: int = 0
    latencies: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    example: str = ""

    def fail(self, error: LLMFleetError) -> None:
        self.failures[type(error).__name__] += 1
        self.example = self.example or str(error)


async def _load_sdk(kind: str) -> None:
    """One call to nowhere: all imports are done before anything is measured."""
    adapter = adapter_for(kind)
    sdk = adapter.open_client(api_key="sk-test-warm-up", base_url="http://127.0.0.1:9", timeout=1.0)
    with suppress(ProviderError):
        await adapter.complete(sdk, Call(kind, "none", (Message(MessageRole.USER, "-"),), 1))
    await adapter.close_client(sdk)


async def _call(client: LLMClient, job: Json, chance: random.Random, seen: Seen, until: float) -> None:
    size = int(job["input"] * 4 * chance.uniform(0.5, 1.5))
    messages, started = [Message(MessageRole.USER, TEXT[:size])], time.monotonic()
    patience_s = PATIENCE_S if job["calls"] else max(0.001, until - started)
    options: Json = {"max_tokens": job["max_tokens"], "queue_timeout": patience_s}
    try:
        if chance.random() < job["stream_share"]:
            async for _ in client.stream_complete(messages, **options):
                pass
        else:
            response = await client.complete(messages, **options)
            seen.waits.append(response.queued_s)
    except QueueTimeout as error:
        if job["calls"]:
            seen.fail(error)
            return
        seen.unserved += 1  # denied at once where it can only start when the time is over
        await asyncio.sleep(max(0.0, min(error.retry_after or 1.0, until - time.monotonic())))
        return
    except LLMFleetError as error:
        seen.fail(error)
        return
    seen.answered += 1
    seen.latencies.append(time.monotonic() - started)


async def _task(client: LLMClient, job: Json, number: int, seen: Seen, until: float) -> None:
    chance, left = random.Random(f"{job['worker']}.{number}"), job["calls"]
    while left > 0 if job["calls"] else time.monotonic() < until:
        await _call(client, job, chance, seen, until)
        left -= 1


async def run_tasks(manager: LLMManager, job: Json) -> Seen:
    """All tasks of this process, to their end."""
    seen, until = Seen(), time.monotonic() + job["seconds"]
    client = manager.get_client(job["provider"])
    await asyncio.gather(*(_task(client, job, number, seen, until) for number in range(job["tasks"])))
    return seen


def begin() -> Json:
    """Read the job, load everything, and wait for the word to begin."""
    job: Json = json.loads(sys.stdin.readline())
    asyncio.run(_load_sdk(job["provider"]))
    print("ready", flush=True)
    sys.stdin.readline()
    return job


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _run(job: Json) -> Json:
    process_s, thread_s = _cpu_s(), time.thread_time()
    manager = LLMManager(parse_config(job["config"]))
    try:
        seen = await run_tasks(manager, job)
        ended = time.monotonic()
    finally:
        await manager.close()
    own_s = time.thread_time() - thread_s
    return {
        "answered": seen.answered,
        "unserved": seen.unserved,
        "latencies": seen.latencies,
        "waits": seen.waits,
        "failures": seen.failures,
        "example": seen.example,
        "ended": ended,
        "cpu_s": _cpu_s() - process_s,
        "user_loop_cpu_s": own_s,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(begin()))), flush=True)
