"""The exception tree of the library; every message names the place and the remedy, never a secret.

LLMFleetError
├── ConfigError               a file, field or argument that cannot work; exit code 78
├── CoordinationError         Redis cannot be reached, refuses us or lost its answer; exit code 69
├── ManagerClosed             a manager or client used after close()
├── CallTimeout               the call's own `timeout` ran out
├── PoolExhausted             no SDK client became free within `pool.acquire_timeout`
├── LimitError                the limits did not let a ticket pass
│   ├── NeedTooLarge          larger than a limit: it could never go
│   ├── QueueTimeout          the wait for the limits ran out
│   ├── QueueFull             `max_queued` tickets already wait
│   └── NoUsableKey           every API key that this process holds is out of service
├── LeaseLost                 the lease ended before the request was sent
└── ProviderError             the provider answered with an error, or not at all
    ├── Throttled             429
    ├── KeyRefused            401, 403, spend limits and quotas: the key is taken out of service
    ├── RequestRefused        400, 404, 413, 422: the same request can never succeed
    ├── ProviderUnavailable   408, 409, 5xx, 529, connection failures, timeouts
    └── StreamInterrupted     a stream broke after text was emitted
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CallTimeout",
    "ConfigError",
    "CoordinationError",
    "KeyRefused",
    "LLMFleetError",
    "LeaseLost",
    "LimitError",
    "ManagerClosed",
    "NeedTooLarge",
    "NoUsableKey",
    "PoolExhausted",
    "ProviderError",
    "ProviderUnavailable",
    "QueueFull",
    "QueueTimeout",
    "RequestRefused",
    "StreamInterrupted",
    "Throttled",
]


class LLMFleetError(Exception):
    """Root of everything that the library raises on purpose.

    `ticket` is the id of the attempt that failed, for `llm-fleet explain`; None where there was none.
    """

    ticket: str | None = None


class ConfigError(LLMFleetError):
    """The configuration or an argument cannot work."""


class CoordinationError(LLMFleetError):
    """Redis is away, refuses this process, or did not answer in time."""


class ManagerClosed(LLMFleetError):
    """The manager (or a client of it) was used after `close()`."""


class CallTimeout(LLMFleetError):
    """The call's `timeout` ran out; what it held has been given back."""


class PoolExhausted(LLMFleetError):
    """No SDK client became free within `pool.acquire_timeout` seconds."""


class LimitError(LLMFleetError):
    """The limits did not let a ticket pass.

    Attributes say where: `provider`, `lane`, `key_id`, the binding `resource`, its `need`,
    `level` and `limit` (amounts, not units), the `position` in the queue (0 is the head) and
    `retry_after` in seconds; None where it is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        lane: str | None = None,
        key_id: str | None = None,
        resource: str | None = None,
        need: int | None = None,
        level: int | None = None,
        limit: int | None = None,
        position: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.lane = lane
        self.key_id = key_id
        self.resource = resource
        self.need = need
        self.level = level
        self.limit = limit
        self.position = position
        self.retry_after = retry_after


class NeedTooLarge(LimitError):
    """The request is larger than a limit and could never go."""


class QueueTimeout(LimitError):
    """The wait for the limits ran out (`queue_timeout`)."""


class QueueFull(LimitError):
    """`max_queued` tickets already wait."""


class NoUsableKey(LimitError):
    """Every API key of this process is out of service."""


class LeaseLost(LLMFleetError):
    """The lease ended before the request was sent; nothing was sent."""


class ProviderError(LLMFleetError):
    """The provider answered with an error, or not at all.

    Attributes: `provider`, `key_id`, `status` (HTTP, None without an answer), `code` (the
    vendor's own word), `retryable`, `retry_after` (seconds, as the provider said),
    `resource` (the limit that a 429 named), `usage` (a `models.Usage`: what the failed attempt
    consumed, None where it is not known) and `attempts` made so far. The vendor's exception is
    the `__cause__`.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        key_id: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        resource: str | None = None,
        usage: Any = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.key_id = key_id
        self.status = status
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.resource = resource
        self.usage = usage
        self.attempts = 1


class Throttled(ProviderError):
    """429: the provider's own limit was met."""


class KeyRefused(ProviderError):
    """The key is not accepted or its money is spent; it is taken out of service."""


class RequestRefused(ProviderError):
    """The same request can never succeed."""


class ProviderUnavailable(ProviderError):
    """The provider failed or could not be reached; trying again may help."""


class StreamInterrupted(ProviderError):
    """A stream broke after text was emitted; `text` holds what came."""

    def __init__(self, message: str, *, text: str = "", **fields: object) -> None:
        super().__init__(message, **fields)  # type: ignore[arg-type]
        self.text = text
