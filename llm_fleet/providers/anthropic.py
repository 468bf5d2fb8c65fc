"""The Messages API of Anthropic, through its SDK. No other module imports `anthropic`."""

from __future__ import annotations

from typing import Any

from ..models import Call, Content, MessageRole, Response, ToolCall, Usage
from ..profiles import profile_for
from .adapter import (
    Emission,
    folded,
    http_client,
    load_transport,
    mark_sent,
    per_read,
    tool_arguments,
    warn_once,
)
from .failures import (
    Answer,
    Fault,
    judge,
    no_stream,
    refused_arguments,
    translated,
    unreadable,
    without_answer,
)

__all__ = ["AnthropicAdapter"]

_PROFILE = profile_for("anthropic")
_SAMPLING_UNTIL = "2026-10-21"
"""From this API version on, the one that the SDK speaks, `temperature` is refused on every model."""

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""An `error` event arrives inside an answer of status 200: its type stands for the status."""

_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}
"""Type of a delta: where it has its piece, and where the whole goes in the block."""

_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "extra_headers"})
_NO_COUNT = frozenset({404, 405, 501})


class AnthropicAdapter:
    """`messages.create`, streamed as raw events (`messages.stream` costs more than twice the CPU)."""

    kind = "anthropic"

    def load(self) -> None:
        import anthropic  # noqa: F401

        load_transport()

    def open_client(self, *, api_key: str, base_url: str | None, timeout: float) -> Any:
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=base_url,
            timeout=per_read(timeout),
            max_retries=0,
            http_client=http_client(anthropic.DefaultAioHttpClient),
        )

    async def close_client(self, sdk: Any) -> None:
        await sdk.close()

    async def complete(self, sdk: Any, call: Call) -> Response:
        request = _request(call)
        emission = Emission(call) if call.sink is not None else None
        with translated(_fault_of, call, emission):
            with refused_arguments(call):
                sending = sdk.messages.create(**request)
                mark_sent(call)
                answer = await sending
            if emission is not None:
                answer = await folded(answer, _Fold(emission), emission, call)
        return _response(answer, call)

    async def count_tokens(self, sdk: Any, call: Call) -> int | None:
        request = {name: value for name, value in _request(call).items() if name in _COUNTED}
        with translated(_fault_of, call), refused_arguments(call):
            try:
                count = await sdk.messages.count_tokens(**request)
            except Exception as error:
                if getattr(error, "status_code", None) in _NO_COUNT:
                    return None
                raise
        return int(count.input_tokens)


def _request(call: Call) -> dict[str, Any]:
    if "stream" in call.extra:
        raise no_stream(call)
    system, messages = _conversation(call)
    choice = {"type": call.tool_choice} if isinstance(call.tool_choice, str) else call.tool_choice
    request: dict[str, Any] = {
        "model": call.model,
        "max_tokens": call.max_tokens,
        "messages": messages,
        "system": system,
        "tools": call.tools,
        "tool_choice": choice,
        "stream": True if call.sink is not None else None,
        **call.extra,
    }
    if call.temperature is not None and _takes_temperature(call):
        request["extra_body"] = {"temperature": call.temperature, **(call.extra.get("extra_body") or {})}
    return {name: value for name, value in request.items() if value is not None}


def _takes_temperature(call: Call) -> bool:
    headers = call.extra.get("extra_headers") or {}
    version = {name.lower(): value for name, value in headers.items()}.get("anthropic-version")
    if version is not None and version < _SAMPLING_UNTIL:
        return True
    warn_once(
        "temperature.left_out",
        f"{call.provider} has no `temperature` from API version {_SAMPLING_UNTIL} on; it is not sent. "
        'For an older model pass extra_headers={"anthropic-version": "2023-06-01"}, '
        "else remove it from `settings`",
    )
    return False


def _conversation(call: Call) -> tuple[Content | None, list[dict[str, Any]]]:
    """System messages that lead go where `system` goes; later ones stay where they are."""
    messages = list(call.messages)
    system = [call.system] if call.system else []
    while messages and messages[0].role is MessageRole.SYSTEM:
        system.append(messages.pop(0).content)
    turns = []
    for message in messages:
        role = MessageRole.USER if message.role is MessageRole.TOOL else message.role
        turns.append({"role": role.value, "content": message.content})
    return _joined(system), turns


def _joined(system: list[Content]) -> Content | None:
    texts = [part for part in system if isinstance(part, str)]
    if len(texts) == len(system):
        return "\n\n".join(texts) or None
    blocks: list[Any] = []
    for part in system:
        blocks.extend([{"type": "text", "text": part}] if isinstance(part, str) else part)
    return blocks


class _Fold:
    """Raw events become the message that they describe."""

    def __init__(self, emission: Emission) -> None:
        self.whole: Any = None
        self.complete = False
        self._emission = emission
        self._pieces: dict[int, dict[str, list[str]]] = {}

    def add(self, event: Any) -> str:
        """Take one event in; gives the text that it brings to the reader."""
        text = ""
        match event.type:
            case "content_block_delta":
                text = self._grow(event.index, event.delta)
            case "content_block_start":
                self.whole.content.append(event.content_block)
                text = getattr(event.content_block, "text", None) or ""
            case "content_block_stop":
                self._finish_block(event.index)
            case "message_start":
                self.whole = event.message
                self._emission.know(_usage(event.message.usage))
            case "message_delta":
                self._amend(event)
            case "message_stop":
                self.complete = self.whole is not None
        return text

    def _grow(self, index: int, delta: Any) -> str:
        if delta.type == "citations_delta":
            block = self.whole.content[index]
            block.citations = [*(block.citations or []), delta.citation]
        if delta.type not in _DELTAS:
            return ""
        source, target = _DELTAS[delta.type]
        piece: str = getattr(delta, source)
        self._pieces.setdefault(index, {}).setdefault(target, []).append(piece)
        if target == "text":
            return piece
        if target != "signature":
            self._emission.count(piece)
        return ""

    def _finish_block(self, index: int) -> None:
        block = self.whole.content[index]
        for target, pieces in self._pieces.pop(index, {}).items():
            whole = "".join(pieces)
            if target == "input":
                block.input = tool_arguments(whole)
            else:
                setattr(block, target, (getattr(block, target, None) or "") + whole)

    def _amend(self, event: Any) -> None:
        # The figures of message_delta are cumulative: they replace, they are not added.
        for target, news in ((self.whole, event.delta), (self.whole.usage, event.usage)):
            for name, value in news:
                if value is not None:
                    setattr(target, name, value)
        self._emission.know(_usage(self.whole.usage))


def _response(message: Any, call: Call) -> Response:
    content = getattr(message, "content", None)
    if not isinstance(content, list) or getattr(message, "usage", None) is None:
        raise unreadable(call, "no message of the Messages API")
    tools = (block for block in content if block.type == "tool_use")
    return Response(
        content="".join(block.text for block in content if block.type == "text"),
        usage=_usage(message.usage),
        model=message.model,
        stop_reason=message.stop_reason,
        tool_calls=tuple(ToolCall(block.id, block.name, block.input) for block in tools),
        key_id=call.lease.key_id if call.lease is not None else "",
        attempts=call.attempt,
        raw=message,
    )


def _usage(usage: Any) -> Usage:
    created = usage.cache_creation_input_tokens or 0
    read = usage.cache_read_input_tokens or 0
    return Usage(
        input_tokens=(usage.input_tokens or 0) + created + read,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=read,
        cache_creation_tokens=created,
    )


def _fault_of(error: Exception) -> Fault | None:
    """The table from the SDK's errors, and the raw ones that it lets through in mid-stream, to ours."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        status, headers = error.status_code, error.response.headers
        if status < 400:
            status = _STATUS_OF_TYPE.get(error.type or "", 500)
        said = error.api_message or ""
        return judge(Answer(status, error.error_code or error.type, said, headers), _PROFILE)
    if isinstance(error, anthropic.APIError):
        return without_answer(error)
    return None
