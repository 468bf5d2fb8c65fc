"""One process of the demo's fleet: `python -m llm_fleet.cli.demo.worker`.

Gets its orders as two JSON lines on stdin, reports in JSON lines on stdout, and ends when stdin
does: it cannot outlive the demo. Knows nothing of the others.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from typing import Any

from ...chain import Handler
from ...client import LLMClient
from ...config import FleetConfig, ProviderConfig, parse_config
from ...errors import LLMFleetError, QueueTimeout
from ...manager import LLMManager
from ...models import Call, Message, MessageRole, Response
from ...providers import adapter_for

REPORT_S = 0.4
PAUSE_S = 0.2
POLL_S, JOIN_POLLS = 0.02, 250
STREAMS = 3  # every third call is one


class Tally:
    """What this process has done since its last report."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.errors: list[str] = []
        self.served = 0

    async def note(self, call: Call, call_next: Handler) -> Response:
        """Middleware, outermost: sees every call that succeeds, streams too."""
        response = await call_next(call)
        self.served += 1
        self.waits.append(round(response.queued_s, 4))
        return response

    def report(self, event: str) -> None:
        """Say what is new."""
        waits, errors = self.waits, self.errors
        self.waits, self.errors = [], []
        say(event=event, served=self.served, waits=waits, errors=errors)


def say(**report: Any) -> None:
    print(json.dumps(report), flush=True)


async def work(config: FleetConfig, tasks: int, seed: int) -> None:
    """Get ready, wait for the go, and keep `tasks` calls going until the time is over."""
    await _warm_up(config.providers[config.default_provider])
    manager, tally = LLMManager(config), Tally()
    manager.add_middleware(tally.note)
    await _join(manager)
    say(event="ready")
    until = time.monotonic() + json.loads(_order())["seconds"]
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    reporter = asyncio.create_task(_report(tally))
    client = manager.get_client()
    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(_keep_calling(client, tally, until, random.Random(seed * 1000 + number)))
    reporter.cancel()
    tally.report("done")
    await manager.close()


async def _warm_up(provider: ProviderConfig) -> None:
    """Import the SDK and open a connection before the clock runs; counting tokens uses no limit."""
    adapter, key = adapter_for(provider.kind), provider.api_keys[0].key.get_secret_value()
    sdk = adapter.open_client(api_key=key, base_url=provider.base_url, timeout=20)
    call = Call(provider.name, provider.default_model or "", (Message(MessageRole.USER, "Hi"),), 1)
    await adapter.count_tokens(sdk, call)
    await adapter.close_client(sdk)


async def _join(manager: LLMManager) -> None:
    """Take part in the fleet before the clock runs; where that takes too long, with the first call."""
    for _ in range(JOIN_POLLS):
        if manager.health()["ready"]:
            return
        await asyncio.sleep(POLL_S)


async def _report(tally: Tally) -> None:
    while True:
        await asyncio.sleep(REPORT_S)
        tally.report("progress")


async def _keep_calling(client: LLMClient, tally: Tally, until: float, chance: random.Random) -> None:
    for number in range(sys.maxsize):
        left_s = until - time.monotonic()
        if left_s <= 0:
            return
        try:
            await _call(client, left_s, chance, is_stream=number % STREAMS == STREAMS - 1)
        except QueueTimeout:
            return  # still queued when the time was over
        except LLMFleetError as error:
            tally.errors.append(f"{type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE_S)


async def _call(client: LLMClient, left_s: float, chance: random.Random, *, is_stream: bool) -> None:
    prompt = [Message(MessageRole.USER, "sail " * chance.randint(60, 560))]
    tenant = chance.choice(("web", "jobs"))
    if not is_stream:
        await client.complete(prompt, queue_timeout=left_s, tenant=tenant)
        return
    async for _ in client.stream_complete(prompt, queue_timeout=left_s, tenant=tenant):
        pass


def _order() -> str:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)  # the demo is gone
    return line


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    orders = json.loads(_order())
    config = parse_config(json.dumps(orders["config"]), source="demo")
    asyncio.run(work(config, orders["tasks"], orders["seed"]))


if __name__ == "__main__":
    main()
