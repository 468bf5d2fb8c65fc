"""Calls asyncio.run again and again, and prints what the process holds: python -m tests.async_runs N N …

For each N: after N more runs, a line of open file descriptors, threads and resident memory in kB.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from pathlib import Path

from llm_fleet import get_llm_manager
from tests.managers import HELLO


async def call() -> None:
    client = (await get_llm_manager()).get_client()
    assert (await client.complete(HELLO, max_tokens=10)).content


async def close() -> None:
    await (await get_llm_manager()).close()


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def main(counts: list[int]) -> None:
    for count in counts:
        for _ in range(count):
            asyncio.run(call())
        gc.collect()
        print(len(os.listdir("/proc/self/fd")), threading.active_count(), resident_kb(), flush=True)
    asyncio.run(close())


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]])
