"""One call to the simulated provider in three ways: the vendor's SDK alone, that behind a bare question to
Redis, and LLMClient. The SDK's clients are opened by our adapter in all of them: the same transport, the same
options. Knows nothing of measuring.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from llm_fleet.client import LLMClient
from llm_fleet.config import parse_config
from llm_fleet.manager import LLMManager
from llm_fleet.models import Message, MessageRole
from llm_fleet.providers import adapter_for

from .engine_rig import BARE, BARE_SHA

__all__ = ["KINDS", "VENDORS", "WAYS", "Ways", "provider_config"]

Json = dict[str, Any]
Once = Callable[[], Awaitable[str]]
"""One call; the text of its answer."""

KINDS = ("complete", "stream")
WAYS = ("sdk", "evalsha", "fleet")
"""The SDK alone; the same after one bare `EVALSHA` of redis-py; LLMClient."""

PROMPT = "every ship waits for its turn and sails when the pilot says so; " * 12
MESSAGES = [Message(MessageRole.USER, PROMPT)]
MAX_TOKENS, OUTPUT_TOKENS, CHUNKS = 1024, 100, 8
PLENTY = 10**8


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor's SDK, and what is asked of it."""

    kind: str
    model: str
    key: str
    path: str
    limited: tuple[str, ...]

    @property
    def limits(self) -> dict[str, int]:
        """So wide that nothing ever waits."""
        return {f"{resource}_per_minute": PLENTY for resource in self.limited}

    def entry(self, provider_url: str) -> Json:
        return {
            "kind": self.kind,
            "base_url": provider_url + self.path,
            "api_keys": [self.key],
            "models": [self.model],
            "rate_limits": [self.limits],
            "settings": {"max_tokens": MAX_TOKENS},
        }

    def request(self, cap: str) -> Json:
        return {"model": self.model, cap: MAX_TOKENS, "messages": [{"role": "user", "content": PROMPT}]}


ANTHROPIC = Vendor(
    *("anthropic", "claude-haiku-5-5", "sk-test-not-a-real-key-1", ""),
    ("requests", "input_tokens", "output_tokens"),
)
OPENAI = Vendor("openai", "gpt-6-luna", "sk-test-not-a-real-key-2", "/v1", ("requests", "tokens"))
VENDORS = (ANTHROPIC, OPENAI)


def provider_config() -> Json:
    """For the simulator: an account for each vendor, answers that come at once."""
    accounts = {vendor.kind: {"keys": [vendor.key], **vendor.limits} for vendor in VENDORS}
    return {"latency_s": 0, "output_tokens": OUTPUT_TOKENS, "chunks": CHUNKS, "accounts": accounts}


def _anthropic_calls(sdk: Any) -> Mapping[str, Once]:
    request = ANTHROPIC.request("max_tokens")

    async def complete() -> str:
        return str((await sdk.messages.create(**request)).content[0].text)

    async def stream() -> str:
        events = await sdk.messages.create(**request, stream=True)
        return "".join([event.delta.text async for event in events if event.type == "content_block_delta"])

    return {"complete": complete, "stream": stream}


def _openai_calls(sdk: Any) -> Mapping[str, Once]:
    request = OPENAI.request("max_completion_tokens")

    async def complete() -> str:
        return str((await sdk.chat.completions.create(**request)).choices[0].message.content)

    async def stream() -> str:
        chunks = await sdk.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])

    return {"complete": complete, "stream": stream}


_OF_SDK = {"anthropic": _anthropic_calls, "openai": _openai_calls}


def _calls_of_fleet(client: LLMClient) -> Mapping[str, Once]:
    async def complete() -> str:
        return (await client.complete(MESSAGES)).content

    async def stream() -> str:
        return "".join([text async for text in client.stream_complete(MESSAGES)])

    return {"complete": complete, "stream": stream}


class Ways:
    """Every way to every vendor, in this process; opened and closed on one event loop."""

    def __init__(self, provider_url: str, redis_url: str) -> None:
        entries = {vendor.kind: vendor.entry(provider_url) for vendor in VENDORS}
        config = {"providers": entries, "redis": {"url": redis_url, "namespace": "overhead"}}
        self._manager = LLMManager(parse_config(json.dumps(config), env={}))
        self._redis = redis.asyncio.Redis.from_url(redis_url)
        self._sdks = {vendor.kind: self._sdk(vendor) for vendor in VENDORS}

    def _sdk(self, vendor: Vendor) -> Any:
        provider = self._manager.config.providers[vendor.kind]
        return adapter_for(vendor.kind).open_client(
            api_key=vendor.key, base_url=provider.base_url, timeout=provider.settings.timeout
        )

    def of(self, vendor: str, kind: str) -> dict[str, Once]:
        """The ways, each by its name, of one vendor and kind of call."""
        sdk = _OF_SDK[vendor](self._sdks[vendor])[kind]

        async def evalsha() -> str:
            await self._redis.evalsha(BARE_SHA, 0)
            return await sdk()

        fleet = _calls_of_fleet(self._manager.get_client(vendor))[kind]
        return dict(zip(WAYS, (sdk, evalsha, fleet), strict=True))

    async def check(self) -> None:
        """Call in every way: all bring the same text. Imports are done, connections made."""
        await self._redis.script_load(BARE)
        for vendor in VENDORS:
            texts = {await once() for kind in KINDS for once in self.of(vendor.kind, kind).values()}
            assert len(texts) == 1, f"{vendor.kind}: the ways brought different answers"

    async def close(self) -> None:
        for kind, sdk in self._sdks.items():
            await adapter_for(kind).close_client(sdk)
        await self._redis.aclose()
        await self._manager.close()
