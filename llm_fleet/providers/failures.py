"""How a vendor's failure becomes one of ours: what the adapters share, next to their own tables.

A table turns the vendor's exception into an `Answer` (what the provider said), `judge` finds
what that means, `translated` raises it. No message holds a key or the text of a prompt.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import (
    KeyRefused,
    LLMFleetError,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    StreamInterrupted,
    Throttled,
)
from ..models import Call, Usage
from ..profiles import Profile

__all__ = [
    "Answer",
    "Fault",
    "Produced",
    "incomplete",
    "judge",
    "no_stream",
    "refused_arguments",
    "translated",
    "unreadable",
    "without_answer",
]

_REMEDIES = {
    401: "the key is not accepted: replace it in `api_keys`",
    402: "the account has no credit left: pay, or remove the key from `api_keys`",
    403: "the key may not do this: give it the permission, or remove it from `api_keys`",
    404: "there is no such model or path: check `model` and `base_url`",
    429: "the provider's own limit was met: lower `rate_limits`, or see who else uses the account",
}
_SPENT = "its spend limit or quota is used up: raise it at the provider, or add another key"
_TOO_LARGE = "the request is larger than the provider allows: shorten it, or lower max_tokens"
_NEVER = "the same request can never succeed: change it"
_TRY_AGAIN = "the fault is the provider's: try again later"
_UNREACHABLE = "check the network and `base_url`; `settings.timeout` bounds each read"

_QUOTED = 300
_WINDOW = 16
_SHORT = 6
_KEY_LIKE = re.compile(r"\b(?:sk|pk|gsk|xai|key|bearer)[-_ ][\w*.-]{6,}", re.IGNORECASE)


class Produced(Protocol):
    """What a stream has given before it failed."""

    @property
    def text(self) -> str: ...

    @property
    def usage(self) -> Usage | None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said when it refused: `said` are its words, `code` its most exact name for it."""

    status: int
    code: str | None
    said: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong: `what` completes the sentence "<provider> …", `remedy` says what to do."""

    kind: type[ProviderError]
    what: str
    remedy: str
    status: int | None = None
    code: str | None = None
    retryable: bool = False
    retry_after: float | None = None
    resource: str | None = None
    said: str = ""

    def error(self, call: Call, produced: Produced | None = None) -> ProviderError:
        """The exception to raise; with text already shown it is the stream that was interrupted."""
        key_id = call.lease.key_id if call.lease is not None else None
        what = ": ".join(part for part in (self.what, quotable(self.said, call)) if part)
        message = f"{call.provider} {what} (model {call.model}, key {key_id}); {self.remedy}"
        fields: dict[str, Any] = {
            "provider": call.provider,
            "key_id": key_id,
            "status": self.status,
            "code": self.code,
            "retry_after": self.retry_after,
            "resource": self.resource,
            "usage": produced.usage if produced is not None else None,
        }
        if produced is not None and produced.text:
            shown = f"stream interrupted after {len(produced.text)} characters: {message}"
            return StreamInterrupted(shown, text=produced.text, **fields)
        return self.kind(message, retryable=self.retryable, **fields)


def judge(answer: Answer, profile: Profile) -> Fault:
    """What an answer means: first the vendor's own codes, then the status, then `x-should-retry`."""
    status, code = answer.status, answer.code
    kind, remedy, retryable, final = _meaning(answer, profile)
    if not final and (asked := answer.headers.get("x-should-retry")) in ("true", "false"):
        retryable = asked == "true"
    return Fault(
        kind,
        f"answered {status}" + (f" ({code})" if code else ""),
        remedy,
        status=status,
        code=code,
        retryable=retryable,
        retry_after=profile.retry_after(answer.headers),
        resource=profile.exhausted(answer.headers) if kind is Throttled else None,
        said="" if status in (401, 403) else answer.said,
    )


def without_answer(error: BaseException) -> Fault:
    """The connection failed or timed out; the request may have been counted all the same."""
    name = type(error.__cause__ or error).__name__
    return Fault(ProviderUnavailable, f"gave no answer ({name})", _UNREACHABLE, retryable=True)


def incomplete(call: Call, produced: Produced) -> ProviderError:
    """A stream that ended cleanly, but without its end marker."""
    what = "ended its stream before the end of the answer"
    return Fault(ProviderUnavailable, what, _TRY_AGAIN, retryable=True).error(call, produced)


def unreadable(call: Call, what: str, produced: Produced | None = None) -> ProviderError:
    """An answer that is none: a web page, another API's object."""
    remedy = "check that `kind` and `base_url` fit together"
    return Fault(ProviderUnavailable, f"answered with {what}", remedy, retryable=True).error(call, produced)


def no_stream(call: Call) -> ProviderError:
    """`stream` is not for the SDK: the chain has to know."""
    return RequestRefused("no keyword `stream`: use stream_complete() instead", provider=call.provider)


@contextmanager
def translated(
    fault_of: Callable[[Exception], Fault | None], call: Call, produced: Produced | None = None
) -> Iterator[None]:
    """Raise a vendor's error as ours; what neither the table nor the transport knows passes through."""
    try:
        yield
    except LLMFleetError:
        raise
    except Exception as error:
        fault = fault_of(error) or _transport_fault(error)
        if fault is None:
            raise
        raise fault.error(call, produced) from error


@contextmanager
def refused_arguments(call: Call) -> Iterator[None]:
    """The SDK's own refusal of keywords and values, before anything was sent."""
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise unreadable(call, "something that is not JSON") from error
    except (TypeError, ValueError) as error:
        raise RequestRefused(
            f"{call.provider}: the SDK refuses the call, nothing was sent: {quotable(str(error), call)}; "
            "check its keywords and values",
            provider=call.provider,
            key_id=call.lease.key_id if call.lease is not None else None,
            usage=Usage(),
        ) from error


def quotable(said: str, call: Call) -> str:
    """A provider's words, cut short, without keys, and not at all where they repeat the prompt."""
    said = _KEY_LIKE.sub("…", _on_one_line(said))[:_QUOTED]
    contents = [call.system or "", *(message.content for message in call.messages)]
    prompt = _on_one_line(str(contents))
    windows = [said[start : start + _WINDOW] for start in range(0, len(said) - _WINDOW + 1, _WINDOW // 2)]
    short = [_on_one_line(text) for text in contents if isinstance(text, str) and len(text) >= _SHORT]
    repeated = any(window in prompt for window in windows) or any(text in said for text in short)
    return "" if repeated else said


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _meaning(answer: Answer, profile: Profile) -> tuple[type[ProviderError], str, bool, bool]:
    """Kind, remedy, whether to try again, and whether that is beyond what a header may say."""
    status = answer.status
    if answer.code in profile.spent_codes or answer.said.startswith(profile.spent_phrases):
        return KeyRefused, _SPENT, False, True
    if status == 413 or answer.said.startswith("Request too large"):
        return RequestRefused, _TOO_LARGE, False, True
    if status == 429 or answer.code in profile.ramp_codes:
        return Throttled, _REMEDIES[429], True, False
    if status in (401, 402, 403):
        return KeyRefused, _REMEDIES[status], False, False
    if profile.is_retryable(status):
        return ProviderUnavailable, _TRY_AGAIN, True, False
    return RequestRefused, _REMEDIES.get(status, _NEVER), False, False


def _transport_fault(error: Exception) -> Fault | None:
    # In mid-stream the SDKs let errors of their transport, and of decoding, through as they are.
    import httpx2

    transport: tuple[type[Exception], ...] = (httpx2.HTTPError, httpx2.StreamError, OSError)
    if (aiohttp := sys.modules.get("aiohttp")) is not None:
        transport = (*transport, aiohttp.ClientError)
    if isinstance(error, (*transport, json.JSONDecodeError, UnicodeDecodeError)):
        return without_answer(error)
    return None
