"""The two protocols as the strict provider speaks them, on raw sockets. Decides nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

__all__ = ["Answer", "read_request"]

Json = dict[str, Any]


class Answer:
    """Writes one answer in one protocol, whole or streamed; to a client that left it says nothing."""

    def __init__(self, path: str, body: Json, writer: asyncio.StreamWriter) -> None:
        self.is_openai, self.streams = path.endswith("/chat/completions"), bool(body.get("stream"))
        self.model, self.writer, self.text = body.get("model"), writer, ""

    def refuse(self, status: int, kind: str, message: str) -> None:
        error = {"type": kind, "code": kind, "message": message}
        self.whole({"type": "error", "error": error}, status, b"retry-after: 1\r\n" * (status == 429))

    def open(self, row: Json) -> None:
        if not self.streams:
            return
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        if not self.is_openai:
            message = self.message(row) | {"content": [], "stop_reason": None}
            self.event({"type": "message_start", "message": message})
            block = {"type": "text", "text": ""}
            self.event({"type": "content_block_start", "index": 0, "content_block": block})

    def piece(self, text: str) -> None:
        self.text += text
        if not self.streams:
            return
        if self.is_openai:
            delta = {"role": "assistant", "content": text}
            self.event(self.chunk([{"index": 0, "delta": delta, "finish_reason": None}]))
        else:
            delta = {"type": "text_delta", "text": text}
            self.event({"type": "content_block_delta", "index": 0, "delta": delta})

    def close(self, row: Json) -> None:
        if not self.streams:
            return self.whole(self.completion(row) if self.is_openai else self.message(row))
        if self.is_openai:
            self.event(self.chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
            self.event(self.chunk([]) | {"usage": self.completion(row)["usage"]})
            self.chunked(b"data: [DONE]\n\n")
        else:
            self.event({"type": "content_block_stop", "index": 0})
            usage = {"output_tokens": row["output_tokens"]}
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            self.event({"type": "message_delta", "delta": delta, "usage": usage})
            self.event({"type": "message_stop"})
        self.send(b"0\r\n\r\n")

    def message(self, row: Json) -> Json:
        usage = {"input_tokens": row["input_tokens"], "output_tokens": max(1, row["output_tokens"])}
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "usage": usage,
                "content": [{"type": "text", "text": self.text}], "stop_reason": "end_turn"}  # fmt: skip

    def completion(self, row: Json) -> Json:
        count, produced = row["input_tokens"], row["output_tokens"]
        usage = {"prompt_tokens": count, "completion_tokens": produced, "total_tokens": count + produced}
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self.chunk([choice]) | {"object": "chat.completion", "usage": usage}

    def chunk(self, choices: list[Json]) -> Json:
        kind = "chat.completion.chunk"
        return {"id": "c-1", "object": kind, "created": 1, "model": self.model, "choices": choices}

    def event(self, data: Json) -> None:
        name = "" if self.is_openai else f"event: {data['type']}\n"
        self.chunked(f"{name}data: {json.dumps(data)}\n\n".encode())

    def chunked(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def whole(self, body: Json, status: int = 200, headers: bytes = b"") -> None:
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n"
        self.send(head.encode() + headers + b"\r\n" + content)

    def send(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], Json]:
    path = (await reader.readuntil()).split()[1].decode().partition("?")[0]
    headers: dict[str, str] = {}
    while line := (await reader.readuntil()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return path, headers, json.loads(body or b"{}")
