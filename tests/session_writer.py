"""A process that adds messages to a conversation, for tests.

python -m tests.session_writer URL NAMESPACE SESSION NAME COUNT
prints `ready`, waits for a line, adds NAME0 NAME1 …, and prints what it sees then.
"""

from __future__ import annotations

import asyncio
import sys

from llm_fleet.session import SessionManager
from tests.managers import entry, manager_of


async def write(url: str, namespace: str, session_id: str, name: str, count: int) -> None:
    async with manager_of(url, namespace, anthropic=entry("http://127.0.0.1:9")) as manager:
        session = await SessionManager.open(session_id, manager)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for number in range(count):
            await session.add_message("user", f"{name}{number}")
        print(*(message.content for message in session.get_messages()))


if __name__ == "__main__":
    url, namespace, session_id, name, count = sys.argv[1:]
    asyncio.run(write(url, namespace, session_id, name, int(count)))
