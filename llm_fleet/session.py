"""A conversation: its messages in order. Knows messages, and nothing of providers or limits."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from .engine.fleet import Fleet
from .engine.keys import session_key
from .engine.scripts import load_script
from .errors import ConfigError
from .models import Content, Message, MessageRole
from .store import Store

__all__ = ["SessionManager", "SharedSession"]

DAY_S = 86_400.0


class HasFleet(Protocol):
    """What a shared conversation needs of a manager."""

    @property
    def fleet(self) -> Fleet: ...


class SessionManager:
    """The history of one conversation, in the memory of this process; `open` gives one in Redis.

    `await session.add_message(role, content)` appends a turn, `session.get_messages()` gives
    what `client.complete` takes. The history is sent whole with every call: it grows the input
    tokens until `clear()`.
    """

    def __init__(self, session_id: str | None = None) -> None:
        self.session_id = session_id or uuid.uuid4().hex
        self._messages: list[Message] = []

    @classmethod
    async def open(cls, session_id: str, manager: HasFleet, *, ttl_s: float = DAY_S) -> SharedSession:
        """The conversation of this id, kept in Redis, with all that was said so far.

        It is forgotten `ttl_s` seconds after it was last used; opening, adding and refreshing use it.
        Privacy: its messages stand in Redis as plain JSON until then, for everyone who may read
        that Redis, and the id is part of a key: let it name no person. `clear()` erases at once.

        Raises:
            ConfigError: an id or a TTL that cannot be.
            CoordinationError: Redis does not answer.
        """
        session = SharedSession(session_id, manager.fleet, ttl_s=ttl_s)
        await session.refresh()
        return session

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

    async def refresh(self) -> None:
        """Learn what other processes have added; in memory there are none."""

    async def clear(self) -> None:
        """Forget every turn."""
        self._messages.clear()


class SharedSession(SessionManager):
    """A conversation in Redis, for any number of processes; made by `SessionManager.open`.

    Nothing that anybody adds is lost, and all see it in one order. `get_messages` answers from
    memory, as of the last `add_message` or `refresh` of this object; both also bring what others
    have added. Whoever answers a user's turn in another process refreshes first. An object
    belongs to the process that opened it.
    """

    def __init__(self, session_id: str, fleet: Fleet, *, ttl_s: float = DAY_S) -> None:
        super().__init__(session_id)
        if not ttl_s >= 0.001:
            raise ConfigError(f"session {session_id!r}: ttl_s {ttl_s!r} must be a number of seconds above 0")
        self._fleet, self._ttl_ms = fleet, round(ttl_s * 1000)
        self._key = session_key(fleet.namespace, session_id)
        self._generation = ""
        self._turn = asyncio.Lock()

    async def add_message(self, role: MessageRole | str, content: Content) -> Message:
        """Append one turn for everybody, and learn what others have added before it.

        Cancelled or failed, it may have been appended or not: `refresh` shows.

        Raises:
            ConfigError: content that is neither text nor blocks of JSON.
            CoordinationError: Redis does not answer.
        """
        message = Message(MessageRole(role), content)
        entry = _entry(message, self.session_id)
        await self._fleet.run(lambda store: self._exchange(store, entry))
        return message

    async def refresh(self) -> None:
        """Learn what other processes have added, or that the conversation was cleared or has expired.

        Raises:
            CoordinationError: Redis does not answer.
        """
        await self._fleet.run(lambda store: self._exchange(store, ""))

    async def clear(self) -> None:
        """Erase every turn, for everybody."""
        await self._fleet.run(self._erase)

    async def _exchange(self, store: Store, entry: str) -> None:
        async with self._turn:
            fresh, known = uuid.uuid4().hex, len(self._messages)
            generation, first, entries = await store.script(
                load_script("session_append"),
                [self._key],
                [self._generation, known, self._ttl_ms, fresh, entry],
            )
            self._generation = generation
            self._messages[int(first) :] = map(_message, entries)

    async def _erase(self, store: Store) -> None:
        async with self._turn:
            generation = uuid.uuid4().hex
            await store.script(load_script("session_clear"), [self._key], [generation, self._ttl_ms])
            self._generation = generation
            self._messages.clear()


def _entry(message: Message, session_id: str) -> str:
    """How Redis keeps a message. Its id makes it unlike any other, so that none is added twice."""
    try:
        return json.dumps([uuid.uuid4().hex, message.role, message.content], default=_plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"session {session_id!r}: the content of a message must be text or blocks of JSON ({error})"
        ) from error


def _plain(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _message(entry: str) -> Message:
    _, role, content = json.loads(entry)
    return Message(MessageRole(role), content)
