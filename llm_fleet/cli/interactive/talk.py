"""What a line means: a command, or a turn of the conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeAlias

from rich.text import Text

from ...manager import LLMManager
from ...models import Message, MessageRole, Response
from ..render import duration, open_console, printable
from .status import print_status
from .stress import Stress, print_stress

__all__ = ["Talk"]

Turn: TypeAlias = Coroutine[Any, Any, None]

GREETING = "Hello! Say in one sentence who you are."
PERSON = "interactive"
"""The priority of what somebody waits for at the prompt."""
MOST_CALLS = 10_000
SHORT_ANSWER = 64
HELP = """hello        send a test message, apart from the conversation
status       the SDK clients of this process, and the fleet's limits
stress <n>   send n test messages at once
quit         leave; so do exit, the end of the input, and Ctrl-C at the prompt
Anything else is sent, with all that was said before; the answer comes as it
is written."""


class Talk:
    """A conversation with one provider entry, and commands about it.

    `options` are those of every call (`model`, `system`, `max_tokens`; None is not said).

    Raises:
        ConfigError: there is no such provider.
    """

    def __init__(self, manager: LLMManager, provider: str | None, options: Mapping[str, Any]) -> None:
        self._manager = manager
        self._client = manager.get_client(provider)
        self._options = {name: value for name, value in options.items() if value is not None}
        self._said: list[Message] = []

    def turn(self, line: str) -> Turn | None:
        """What to run for a line; None: the end."""
        match line.split():
            case []:
                return _nothing()
            case ["quit" | "exit"]:
                return None
            case ["help" | "?"]:
                return self._tell(HELP)
            case ["hello"]:
                return self._hello()
            case ["status"]:
                return print_status(self._manager, self._client.provider)
            case ["stress", *words]:
                count = _count(words)
                return self._stress(count) if count else self._tell(f"stress <n>: n is 1 to {MOST_CALLS}")
        return self._chat(line)

    async def _tell(self, text: str) -> None:
        print(text)

    async def _hello(self) -> None:
        started = time.monotonic()
        response = await self._client.complete(_greeting(), priority=PERSON, **self._options)
        print(printable(response.content))
        open_console().print(Text(_facts(response, time.monotonic() - started), "dim"), soft_wrap=True)

    async def _chat(self, line: str) -> None:
        """One turn; it becomes part of the conversation only once it has been answered."""
        asked = Message(MessageRole.USER, line)
        pieces: list[str] = []
        try:
            turns = [*self._said, asked]
            async for text in self._client.stream_complete(turns, priority=PERSON, **self._options):
                pieces.append(text)
                print(printable(text), end="", flush=True)
        finally:
            if pieces:
                print(flush=True)
        self._said += [asked, Message(MessageRole.ASSISTANT, "".join(pieces))]

    async def _stress(self, count: int) -> None:
        most = min(SHORT_ANSWER, self._options.get("max_tokens", SHORT_ANSWER))
        stress = Stress(count)
        async with asyncio.TaskGroup() as calls:
            for _ in range(count):
                calls.create_task(
                    stress.watch(self._client.complete(_greeting(), **{**self._options, "max_tokens": most}))
                )
        print_stress(stress)


def _greeting() -> list[Message]:
    return [Message(MessageRole.USER, GREETING)]


def _count(words: list[str]) -> int:
    """The number of calls; 0 where it is none."""
    is_number = len(words) == 1 and words[0].isascii() and words[0].isdigit() and len(words[0]) < 9
    return int(words[0]) if is_number and int(words[0]) <= MOST_CALLS else 0


def _facts(response: Response, took_s: float) -> str:
    usage = response.usage
    tokens = f"{usage.input_tokens} tokens in, {usage.output_tokens} out"
    waited = f"{duration(took_s)}, {duration(response.queued_s)} of it in the queue"
    return f"{response.model} · key {response.key_id} · {tokens} · {waited}"


async def _nothing() -> None:
    """An empty line."""
