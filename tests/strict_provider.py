"""A second provider for tests: judges by a log of events, in whole nanoseconds, and keeps its own books.

A limit is a curve: over any time that begins at an event, at most `capacity + rate x length` may be
charged. Shares no code with the simulator or the engine. A call whose client left goes on to its end.

python -m tests.strict_provider    config as JSON in a line of standard input; prints its url
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.strict_wire import Answer, read_request

__all__ = ["RunningStrictProvider", "run_strict_provider"]

MINUTE = 60_000_000_000
Json = dict[str, Any]


class Curve:
    """One limit. Amounts inside are amount x MINUTE, so that all arithmetic is in whole numbers."""

    def __init__(self, per_minute: int, burst_s: float) -> None:
        self.per_minute = per_minute
        self.capacity = max(MINUTE, per_minute * round(burst_s * 1_000_000_000))
        self.events: list[tuple[int, int]] = []

    def room(self, now: int) -> int:
        """The most that may be charged now: the least over all beginnings."""
        least, charged = self.capacity, 0
        for at, amount in reversed(self.events):
            charged += amount * MINUTE
            least = min(least, self.capacity + self.per_minute * (now - at) - charged)
        return least

    def charge(self, now: int, amount: int) -> None:
        self.events.append((now, amount))


class Account:
    """The limits that its keys share, and what it let through."""

    def __init__(self, name: str, config: Json) -> None:
        self.name, self.keys = name, config["keys"]
        self.slots = config.get("max_concurrent_requests", math.inf)
        resources = ("requests", "input_tokens", "output_tokens", "tokens")
        limits = {resource: config.get(f"{resource}_per_minute") for resource in resources}
        burst_s = config.get("burst_seconds", 60.0)
        self.curves = {resource: Curve(limit, burst_s) for resource, limit in limits.items() if limit}
        self.in_flight = self.peak = 0
        self.rejected: Counter[str] = Counter()

    def start(self, now: int, needs: dict[str, int]) -> str | None:
        """Charge what is due at the start; or the resource that forbids it."""
        if self.in_flight >= self.slots:
            return "concurrency"
        for resource, curve in self.curves.items():
            if curve.room(now) < needs.get(resource, 0) * MINUTE or curve.room(now) <= 0:
                return resource
        for resource, amount in needs.items():
            if resource in self.curves:
                self.curves[resource].charge(now, amount)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        return None

    def produce(self, tokens: int) -> None:
        if "output_tokens" in self.curves:
            self.curves["output_tokens"].charge(time.monotonic_ns(), tokens)


def count_tokens(body: Json) -> int:
    """Words and marks of all texts, and three for each message."""
    texts = json.dumps([body.get("system", ""), [message["content"] for message in body["messages"]]])
    return len(re.findall(r"\w+|[^\w\s]", texts)) + 3 * len(body["messages"])


def written(body: Json, headers: dict[str, str], needs: dict[str, int]) -> Json:
    """The row of a request in the books."""
    count = needs["input_tokens"]
    names = {name: headers.get(f"x-llm-fleet-{name}") for name in ("ticket", "fence", "granted")}
    row = {"t": time.time(), "status": 200, "ended_t": None, "stream": bool(body.get("stream"))}
    most = needs["tokens"] - count
    tokens = {"input_tokens": count, "max_output_tokens": most, "output_tokens": 0}
    return {"model": body["model"], **row, **tokens, **names}


class Provider:
    """All accounts, the rows of the books, and the two protocols."""

    def __init__(self, config: Json) -> None:
        self.config, self.chance, self.rows = config, random.Random(config.get("seed", 7)), list[Json]()
        self.accounts = [Account(name, limits) for name, limits in config["accounts"].items()]

    def books(self) -> Json:
        pages = {
            account.name: {
                "accepted": sum(row["account"] == account.name and row["status"] == 200 for row in self.rows),
                "rejected": account.rejected.total(),
                "rejected_by": dict(account.rejected),
                "in_flight": account.in_flight,
                "peak_concurrency": account.peak,
            }
            for account in self.accounts
        }
        return {"accounts": pages, "requests": self.rows}

    def draw(self, spread: Any) -> float:
        if isinstance(spread, dict):
            median, sigma = spread["lognormal"]
            return float(median * math.exp(self.chance.gauss(0, sigma)))
        return self.chance.uniform(*spread) if isinstance(spread, list) else float(spread)

    async def call(self, headers: dict[str, str], body: Json, answer: Answer) -> None:
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        account = next((account for account in self.accounts if key in account.keys), None)
        if account is None:
            return answer.refuse(401, "authentication_error", "unknown key")
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 4096
        count = count_tokens(body)
        needs = {"requests": 1, "input_tokens": count, "tokens": count + most}
        refused_by = account.start(time.monotonic_ns(), needs)
        row = written(body, headers, needs) | {"account": account.name, "rejected_by": refused_by}
        self.rows.append(row)
        if refused_by:
            row["status"], row["ended_t"] = 429, row["t"]
            account.rejected[refused_by] += 1
            return answer.refuse(429, "rate_limit_error", f"over the limit of {refused_by}")
        await self.produce(account, row, answer)

    async def produce(self, account: Account, row: Json, answer: Answer) -> None:
        tokens = max(1, min(round(self.draw(self.config["output_tokens"])), row["max_output_tokens"]))
        duration = self.draw(self.config["latency_s"])
        duration += tokens * self.config.get("seconds_per_output_token", 0.0)
        chunks, started = min(self.config.get("chunks", 4), tokens), time.monotonic()
        answer.open(row)
        for index in range(1, chunks + 1):
            await asyncio.sleep(started + duration * index / chunks - time.monotonic())
            part = tokens * index // chunks - row["output_tokens"]
            row["output_tokens"] += part
            account.produce(part)
            answer.piece("la " * part)
        account.in_flight -= 1
        row["ended_t"] = time.time()
        answer.close(row)


async def serve(config: Json, announce: Callable[[str], None]) -> None:
    provider = Provider(config)

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                path, headers, body = await read_request(reader)
                answer = Answer(path, body, writer)
                if path == "/books":
                    answer.whole(provider.books())
                else:
                    await provider.call(headers, body, answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    announce(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await server.serve_forever()


class RunningStrictProvider:
    """The provider in its own process; `url` is anthropic's base url, `url + "/v1"` openai's."""

    def __init__(self, url: str) -> None:
        self.url = url

    def books(self) -> Json:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/books", timeout=10) as answer:
            books: Json = json.load(answer)
        return books


@contextmanager
def run_strict_provider(config: Json) -> Iterator[RunningStrictProvider]:
    """Run one on a free port; it ends with the block, or when this process is gone."""
    command = [sys.executable, "-m", "tests.strict_provider"]
    root = Path(__file__).parent.parent
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            print(json.dumps(config), file=process.stdin, flush=True)
            yield RunningStrictProvider(process.stdout.readline().strip())
        finally:
            process.kill()
            process.wait()


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve(job, lambda url: print(url, flush=True)))
