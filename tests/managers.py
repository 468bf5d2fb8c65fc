"""A manager over a simulated provider and a real server, for tests of the whole stack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llm_fleet.config import parse_config
from llm_fleet.manager import LLMManager
from llm_fleet.models import Message, MessageRole

KEYS = [f"sk-test-not-a-real-key-{number}" for number in range(4)]
HELLO = [Message(MessageRole.USER, "Hello, how are you today?")]


def provider(keys: int = 1, **options: Any) -> dict[str, Any]:
    """A simulator's config: an account per key, `limits` for each; other options as they are."""
    limits = options.pop("limits", {})
    accounts = {f"account-{i}": {"keys": [KEYS[i]], **limits} for i in range(keys)}
    return {"accounts": accounts, "latency_s": 0.02, "output_tokens": 20, **options}


def entry(url: str, keys: int = 1, *, kind: str = "anthropic", **options: Any) -> dict[str, Any]:
    """A provider entry of the config; `limits` become its rate_limits."""
    limits = options.pop("limits", None)
    return {
        "kind": kind,
        "base_url": url if kind == "anthropic" else f"{url}/v1",
        "trace_headers": True,
        "api_keys": KEYS[:keys],
        "models": ["claude-haiku-5-5" if kind == "anthropic" else "gpt-6-luna"],
        **({"rate_limits": [limits]} if limits else {}),
        **options,
    }


def config_text(redis_url: str, namespace: str, **entries: Any) -> str:
    """YAML (JSON is YAML) with these provider entries."""
    return json.dumps({"redis": {"url": redis_url, "namespace": namespace}, "providers": entries})


@asynccontextmanager
async def manager_of(redis_url: str, namespace: str, **entries: Any) -> AsyncIterator[LLMManager]:
    """A manager, closed at the end."""
    manager = LLMManager(parse_config(config_text(redis_url, namespace, **entries), env={}))
    try:
        yield manager
    finally:
        await manager.close()


async def settled(manager: LLMManager, name: str = "anthropic") -> dict[str, Any]:
    """The pool's state in Redis, once what was said has arrived."""
    await asyncio.sleep(0.15)
    status: dict[str, Any] = (await manager.fleet_status())[name]
    return status
