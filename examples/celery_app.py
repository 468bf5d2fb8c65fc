"""A Celery application: tasks share the limits, whatever the number of workers and hosts.

    celery -A examples.celery_app worker --concurrency 4
    python -m examples.celery_app "Why is the sky blue?"

REDIS_URL is the broker here, and where llm_fleet coordinates; they may be two servers as well.
"""

from __future__ import annotations

import asyncio
import os
import sys

from celery import Celery

import llm_fleet
from llm_fleet import Message, MessageRole, sync
from llm_fleet.contrib.celery import install

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")

app = Celery("examples", broker=URL, backend=URL)
install(app, retry_after_s=30)  # a longer wait puts the task back: the worker is free meanwhile


@app.task
def ask(question: str) -> str:
    """One call, blocking."""
    client = sync.get_llm_manager().get_client()
    return client.complete([Message(MessageRole.USER, question)]).content


@app.task
def ask_all(questions: list[str]) -> list[str]:
    """Several calls at once, in an event loop of this task alone."""

    async def call_all() -> list[str]:
        client = (await llm_fleet.get_llm_manager()).get_client()
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(client.complete([Message(MessageRole.USER, question)]))
                for question in questions
            ]
        return [call.result().content for call in calls]

    return asyncio.run(call_all())


if __name__ == "__main__":
    print(ask.delay(" ".join(sys.argv[1:]) or "Say hello in three languages.").get(timeout=600))
