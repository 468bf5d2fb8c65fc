"""A Celery app for tests: REDIS_URL is its broker, RETRY_AFTER_S how long its tasks wait for the limits."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import openai  # noqa: F401  before the worker forks: its children need not import it each
import redis
from celery import Celery

import llm_fleet
from llm_fleet import sync
from llm_fleet.contrib.celery import install
from tests.managers import HELLO

URL = os.environ["REDIS_URL"]

app = Celery("jobs", broker=URL, backend=URL)
app.conf.update(broker_connection_retry_on_startup=False, worker_prefetch_multiplier=1)
install(app, retry_after_s=float(os.environ.get("RETRY_AFTER_S", "30")))


def note(name: str, value: object) -> None:
    """Tell the test something that is no result."""
    with redis.Redis.from_url(URL) as client:
        client.rpush(f"noted:{name}", str(value))


@app.task(bind=True)
def ask(self: Any, **options: Any) -> dict[str, int]:
    """Call the provider through the blocking names."""
    note("runs", self.request.id)
    note("pids", os.getpid())
    response = sync.get_llm_manager().get_client().complete(HELLO, **options)
    return {"pid": os.getpid(), "words": len(response.content.split()), "retries": self.request.retries}


@app.task
def ask_in_a_loop(count: int) -> dict[str, int]:
    """Call the provider `count` times at once, in an event loop of this task alone."""

    async def call_all() -> list[str]:
        client = (await llm_fleet.get_llm_manager()).get_client()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(client.complete(HELLO)) for _ in range(count)]
        return [call.result().content for call in calls]

    return {"pid": os.getpid(), "words": sum(len(text.split()) for text in asyncio.run(call_all()))}


@app.task
def ping() -> str:
    """Need nothing."""
    return "pong"
