"""Chat completions of OpenAI, and of the many servers that speak it. No other module imports `openai`.

The cap on the output is `max_completion_tokens` at OpenAI itself and for OpenAI's own models
wherever they are served; other servers get `max_tokens`, which all of them take, while some
refuse the newer name and some ignore it. Either name given in the call is sent as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from ..models import Call, Message, MessageRole, Response, ToolCall, Usage
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

__all__ = ["OpenAIAdapter"]

_PROFILE = profile_for("openai")
_OWN_HOSTS = (".openai.com", ".openai.azure.com")
_OWN_MODEL = re.compile(r"(?:[\w.-]+/)?(?:gpt-(?!oss)|o\d|chatgpt)")
_REASONING = re.compile(r"(?:[\w.-]+/)?(?:gpt-(?:[5-9]|\d\d)(?!.*chat)|o\d)")
_STATUS_OF_CODE = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "server_overloaded": 503,
}
"""An error inside an answer of status 200 has no status of its own: its code or type stands for it."""

_CAPS = ("max_completion_tokens", "max_tokens")
_NO_COUNT = frozenset({400, 404, 405, 422, 501})


class OpenAIAdapter:
    """`chat.completions.create`; a stream is complete with its finish reason and its usage."""

    kind = "openai"

    def load(self) -> None:
        import openai  # noqa: F401

        load_transport()

    def open_client(self, *, api_key: str, base_url: str | None, timeout: float) -> Any:
        import openai

        return openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=per_read(timeout),
            max_retries=0,
            http_client=http_client(openai.DefaultAioHttpClient),
        )

    async def close_client(self, sdk: Any) -> None:
        await sdk.close()

    async def complete(self, sdk: Any, call: Call) -> Response:
        request = _request(call, sdk.base_url.host)
        emission = Emission(call) if call.sink is not None else None
        with translated(_fault_of, call, emission):
            with refused_arguments(call):
                sending = sdk.chat.completions.create(**request)
                mark_sent(call)
                answer = await sending
            if emission is not None:
                answer = await folded(answer, _Fold(emission), emission, call)
        return _response(answer, call)

    async def count_tokens(self, sdk: Any, call: Call) -> int | None:
        """The Responses API counts texts; there is no count for other content, nor elsewhere."""
        if call.tools or not all(isinstance(message.content, str) for message in call.messages):
            return None
        turns = [turn for message in _system(call) for turn in _turns(message)]
        with translated(_fault_of, call), refused_arguments(call):
            try:
                count = await sdk.responses.input_tokens.count(model=call.model, input=turns)
            except Exception as error:
                if getattr(error, "status_code", None) in _NO_COUNT:
                    return None
                raise
        return int(count.input_tokens)


def _request(call: Call, host: str) -> dict[str, Any]:
    if "stream" in call.extra:
        raise no_stream(call)
    request: dict[str, Any] = {
        "model": call.model,
        "messages": [turn for message in _system(call) for turn in _turns(message)],
        "tools": call.tools,
        "tool_choice": call.tool_choice,
        **call.extra,
    }
    if not any(cap in call.extra for cap in _CAPS):
        own = host.endswith(_OWN_HOSTS) or _OWN_MODEL.match(call.model)
        request["max_completion_tokens" if own else "max_tokens"] = call.max_tokens
    if call.temperature is not None and _takes_temperature(call):
        request["temperature"] = call.temperature
    if call.sink is not None:
        request["stream"] = True
        request["stream_options"] = {**(call.extra.get("stream_options") or {}), "include_usage": True}
    return {name: value for name, value in request.items() if value is not None}


def _takes_temperature(call: Call) -> bool:
    if not _REASONING.match(call.model) or call.extra.get("reasoning_effort") == "none":
        return True
    warn_once(
        "temperature.left_out",
        f"{call.provider}: {call.model} has no `temperature` while it reasons; it is not sent. "
        'Pass reasoning_effort="none" where the model has it, or remove `temperature` from `settings`',
    )
    return False


def _system(call: Call) -> tuple[Message, ...]:
    if not call.system:
        return call.messages
    return (Message(MessageRole.SYSTEM, call.system), *call.messages)


def _turns(message: Message) -> Iterable[dict[str, Any]]:
    """The vendor's messages: a list of results of tools makes one each, calls of tools stand apart."""
    role, content = message.role, message.content
    if isinstance(content, str):
        return [{"role": role.value, "content": content}]
    if role is MessageRole.TOOL:
        return [{"role": role.value, **result} for result in content]
    calls = [block for block in content if role is MessageRole.ASSISTANT and _is_tool_call(block)]
    others = [block for block in content if block not in calls]
    return [{"role": role.value, "content": others or None, **({"tool_calls": calls} if calls else {})}]


def _is_tool_call(block: Mapping[str, Any]) -> bool:
    return block.get("type") in ("function", "custom")


class _Fold:
    """Chunks become the completion that they describe, and show the first choice's text."""

    def __init__(self, emission: Emission) -> None:
        self._emission = emission
        self._last: dict[str, Any] = {}
        self._tools: dict[int, dict[str, Any]] = {}
        self._finished: str | None = None
        self._usage: Any = None

    @property
    def complete(self) -> bool:
        return self._finished is not None and self._usage is not None

    def add(self, chunk: Any) -> str:
        """Take one chunk in; gives the text that it brings to the reader."""
        model = chunk.model or self._last.get("model")
        self._last = {"id": chunk.id, "model": model, "created": chunk.created}
        if chunk.usage is not None:
            self._usage = chunk.usage
            self._emission.know(_usage(chunk.usage))
        choice = next((choice for choice in chunk.choices or () if choice.index == 0), None)
        if choice is None:
            return ""
        self._finished = choice.finish_reason or self._finished
        for part in choice.delta.tool_calls or ():
            self._grow(part)
        self._emission.count(_reasoning(choice.delta))
        return choice.delta.content or ""

    def _grow(self, part: Any) -> None:
        unnamed: dict[str, Any] = {"id": None, "type": "function", "name": "", "arguments": []}
        call = self._tools.setdefault(part.index, unnamed)
        call["id"] = part.id or call["id"]
        if part.function is not None:
            call["name"] += part.function.name or ""
            call["arguments"].append(part.function.arguments or "")
            self._emission.count(part.function.arguments or "")

    @property
    def whole(self) -> Any:
        from openai.types import chat
        from openai.types.chat.chat_completion import Choice

        calls = [_whole_tool_call(call) for _, call in sorted(self._tools.items())] or None
        text = self._emission.text
        message = _built(chat.ChatCompletionMessage, role="assistant", content=text, tool_calls=calls)
        choice = _built(Choice, index=0, finish_reason=self._finished, message=message)
        known = {**self._last, "object": "chat.completion", "usage": self._usage}
        return _built(chat.ChatCompletion, choices=[choice], **known)


def _whole_tool_call(call: Mapping[str, Any]) -> Any:
    from openai.types.chat import chat_completion_message_function_tool_call as of

    function = _built(of.Function, name=call["name"], arguments="".join(call["arguments"]))
    return _built(
        of.ChatCompletionMessageFunctionToolCall, id=call["id"], type=call["type"], function=function
    )


def _built(kind: Any, **values: Any) -> Any:
    """An object of the SDK, unchecked, of parts that have their types already.

    By pydantic's own method: the SDK's looks for the type of every part, which takes nine times as long.
    """
    build: Any = BaseModel.model_construct
    return build.__func__(kind, **values)


def _reasoning(delta: Any) -> str:
    # Not OpenAI's own: compatible servers show what the model thinks under either name.
    extra = delta.model_extra or {}
    found = extra.get("reasoning_content") or extra.get("reasoning")
    return found if isinstance(found, str) else ""


def _response(completion: Any, call: Call) -> Response:
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise unreadable(call, "no choice of a chat completion")
    message = choices[0].message
    return Response(
        content=message.content or "",
        usage=_usage(completion.usage) if completion.usage is not None else Usage(),
        model=completion.model,
        stop_reason=choices[0].finish_reason,
        tool_calls=tuple(_tool_call(tool) for tool in message.tool_calls or ()),
        key_id=call.lease.key_id if call.lease is not None else "",
        attempts=call.attempt,
        raw=completion,
    )


def _tool_call(tool: Any) -> ToolCall:
    if tool.type == "custom":
        return ToolCall(tool.id, tool.custom.name, {"input": tool.custom.input})
    return ToolCall(tool.id, tool.function.name, tool_arguments(tool.function.arguments))


def _usage(usage: Any) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=getattr(details, "cached_tokens", None) or 0,
        cache_creation_tokens=getattr(details, "cache_write_tokens", None) or 0,
    )


def _fault_of(error: Exception) -> Fault | None:
    """The table from the SDK's errors to ours."""
    import openai

    if isinstance(error, openai.APIStatusError):
        said = _said(error.body)
        answer = Answer(error.status_code, error.code or error.type, said, error.response.headers)
        return judge(answer, _PROFILE)
    if isinstance(error, openai.APIConnectionError):
        return without_answer(error)
    if isinstance(error, openai.APIError):
        return _in_stream(error)
    return None


def _in_stream(error: Any) -> Fault:
    code = error.code or error.type or ""
    status = _STATUS_OF_CODE.get(code) or _STATUS_OF_CODE.get(error.type or "", 500)
    return judge(Answer(int(code) if code.isdecimal() else status, code, error.message, {}), _PROFILE)


def _said(body: object) -> str:
    said = body.get("message") if isinstance(body, Mapping) else None
    return said if isinstance(said, str) else ""
