"""SessionManager for callers that block."""

from __future__ import annotations

from .. import session as asynchronous
from ..models import Content, Message, MessageRole
from .manager import LLMManager
from .running import run

__all__ = ["SessionManager"]


class SessionManager:
    """`llm_fleet.SessionManager`, blocking: in memory, or in Redis by `open`."""

    def __init__(self, session_id: str | None = None) -> None:
        self._session = asynchronous.SessionManager(session_id)

    @classmethod
    def open(
        cls, session_id: str, manager: LLMManager, *, ttl_s: float = asynchronous.DAY_S
    ) -> SessionManager:
        """The conversation of this id, kept in Redis: see `llm_fleet.SessionManager.open`."""
        opened = cls(session_id)
        opened._session = run(asynchronous.SessionManager.open(session_id, manager, ttl_s=ttl_s))
        return opened

    @property
    def session_id(self) -> str:
        return self._session.session_id

    def __len__(self) -> int:
        return len(self._session)

    def add_message(self, role: MessageRole | str, content: Content) -> Message:
        """Append one turn; in Redis, also learn what others have added before it."""
        return run(self._session.add_message(role, content))

    def get_messages(self) -> list[Message]:
        """All turns so far; the list is the caller's own."""
        return self._session.get_messages()

    def refresh(self) -> None:
        """Learn what other processes have added."""
        run(self._session.refresh())

    def clear(self) -> None:
        """Forget every turn; in Redis for everybody."""
        run(self._session.clear())
