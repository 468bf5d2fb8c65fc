"""What the simulated provider lets through, exactly: decided with a clock that is moved by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from llm_fleet.simulator.anthropic import Anthropic
from llm_fleet.simulator.call import AcceptedCall
from llm_fleet.simulator.config import parse_config
from llm_fleet.simulator.dialect import Dialect
from llm_fleet.simulator.exchange import Reply
from llm_fleet.simulator.openai import OpenAI
from llm_fleet.simulator.provider import Provider

KEY = "sk-test-not-a-real-key-1"
HEADERS = {b"authorization": f"Bearer {KEY}".encode()}


@dataclass
class Desk:
    """A provider with one account, and its clock."""

    provider: Provider
    now: float = 0.0

    def ask(self, text: str = "", *, dialect: Dialect | None = None, most: int = 100) -> Reply | AcceptedCall:
        """One call; `text` of 4n bytes is n + 4 input tokens."""
        body = {"model": "m", "max_tokens": most, "messages": [{"role": "user", "content": text}]}
        return self.provider.admit(dialect or Anthropic(), HEADERS, json.dumps(body).encode())

    def accepted(self, calls: int, text: str = "", **options: Any) -> int:
        return sum(isinstance(self.ask(text, **options), AcceptedCall) for _ in range(calls))

    def books(self) -> dict[str, Any]:
        page: dict[str, Any] = self.provider.report(requests=True)["accounts"]["a"]
        return page


def desk(**limits: Any) -> Desk:
    config = parse_config({"output_tokens": 50, "accounts": {"a": {"keys": [KEY], **limits}}})
    opened: Desk
    opened = Desk(Provider(config, clock=lambda: opened.now if "opened" in locals() else 0.0, wall=lambda: 5e8))
    return opened
