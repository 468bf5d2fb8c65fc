"""The values that every layer speaks in. Knows nothing of the rest of the library."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

__all__ = [
    "BANDS",
    "Call",
    "Content",
    "LLMProvider",
    "Message",
    "MessageRole",
    "Response",
    "Sink",
    "Ticketed",
    "ToolCall",
    "Usage",
    "key_id",
]

BANDS = ("interactive", "normal", "batch")

Content = str | Sequence[Mapping[str, Any]]
"""Text, or the provider's own list of content blocks."""


def key_id(api_key: str) -> str:
    """The name by which an API key is known outside the process (ENGINE.md §1).

    First 12 hex digits of HMAC-SHA256 under a fixed key: the same in every process, and
    nothing from which the key could be read back.
    """
    return hmac.new(b"llm_fleet", api_key.encode(), hashlib.sha256).hexdigest()[:12]


class LLMProvider(StrEnum):
    """The providers that have an adapter; other pools are named by their config entry."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"


class MessageRole(StrEnum):
    """Who speaks in a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: MessageRole
    content: Content

    def __post_init__(self) -> None:
        """A role may be given as its word, too; one that is not known is a `ValueError`."""
        if self.role not in (known := tuple(MessageRole)):
            raise ValueError(f"Message: role {self.role!r} must be one of {', '.join(known)}")
        object.__setattr__(self, "role", MessageRole(self.role))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call consumed, in tokens.

    `input_tokens` is the whole input; `cache_read_tokens` and `cache_creation_tokens` are
    the parts of it that were read from, and written to, a prompt cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asks to be run."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a call. `key_id` never is the key; `raw` is the SDK's own object.

    `ticket` is the id of the attempt that was answered, as logs and `llm-fleet explain` have it.
    """

    content: str
    usage: Usage
    model: str
    stop_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    key_id: str = ""
    attempts: int = 1
    queued_s: float = 0.0
    ticket: str = ""
    raw: Any = field(default=None, repr=False, compare=False)


class Sink(Protocol):
    """Where a stream's text goes. Bounded: `push` waits while the reader is behind."""

    async def push(self, text: str) -> None: ...

    @property
    def text(self) -> str:
        """All text emitted so far."""
        ...


class Ticketed(Protocol):
    """What an adapter may know of a lease: which key, and where to report progress."""

    @property
    def key_id(self) -> str: ...

    def mark_sent(self) -> None:
        """The request is about to leave; from here on its cost is real."""
        ...

    def progress(self, output_tokens: int) -> None:
        """Tokens produced so far, cumulative."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the user asked for it, on its way down the chain.

    Middleware hands on a changed copy (`dataclasses.replace`). `deadline` is on the
    process's monotonic clock, None without `timeout`; `queue_timeout` is in seconds.
    `extra` is passed on to the SDK as it is.
    """

    provider: str
    model: str
    messages: tuple[Message, ...] = field(repr=False)
    max_tokens: int
    temperature: float | None = None
    system: Content | None = field(default=None, repr=False)
    tools: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    tool_choice: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    tenant: str = "default"
    priority: str = "normal"
    tag: str = ""
    affinity: str = ""
    deadline: float | None = None
    queue_timeout: float = 300.0
    attempt: int = 1
    sink: Sink | None = field(default=None, repr=False)
    lease: Ticketed | None = field(default=None, repr=False)
