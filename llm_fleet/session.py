"""A conversation: its messages in order. Knows messages, and nothing of providers or limits."""

from __future__ import annotations

import uuid

from .models import Content, Message, MessageRole

__all__ = ["SessionManager"]


class SessionManager:
    """The history of one conversation, in the memory of this process.

    `await session.add_message(role, content)` appends a turn, `session.get_messages()` gives
    what `client.complete` takes. The history is sent whole with every call: it grows the input
    tokens until `clear()`.
    """

    def __init__(self, session_id: str | None = None) -> None:
        self.session_id = session_id or uuid.uuid4().hex
        self._messages: list[Message] = []

    def __len__(self) -> int:
        return len(self._messages)

    async def add_message(self, role: MessageRole | str, content: Content) -> Message:
        """Append one turn; a role that is not known is a `ValueError`."""
        message = Message(MessageRole(role), content)
        self._messages.append(message)
        return message

    def get_messages(self) -> list[Message]:
        """All turns so far; the list is the caller's own."""
        return list(self._messages)

    async def clear(self) -> None:
        """Forget every turn."""
        self._messages.clear()
