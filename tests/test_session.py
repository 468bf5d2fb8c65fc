"""SessionManager: a conversation in memory."""

from __future__ import annotations

import pytest

from llm_fleet.models import Message, MessageRole
from llm_fleet.session import SessionManager


async def test_messages_come_back_in_order() -> None:
    """What was added is what `client.complete` gets."""
    session = SessionManager()
    await session.add_message(MessageRole.USER, "My name is Alice")
    await session.add_message("assistant", "Hello Alice")
    assert session.get_messages() == [
        Message(MessageRole.USER, "My name is Alice"),
        Message(MessageRole.ASSISTANT, "Hello Alice"),
    ]
    assert len(session) == 2


async def test_the_list_is_a_copy() -> None:
    """Changing what get_messages gave does not change the conversation."""
    session = SessionManager()
    session.get_messages().append(Message(MessageRole.USER, "stray"))
    assert session.get_messages() == []


async def test_content_blocks_are_kept_as_they_are() -> None:
    """Content may be the provider's own list of blocks."""
    session = SessionManager()
    blocks = [{"type": "text", "text": "Hi"}]
    await session.add_message(MessageRole.USER, blocks)
    assert session.get_messages()[0].content == blocks


async def test_an_unknown_role_is_refused() -> None:
    """A typo does not reach the provider."""
    with pytest.raises(ValueError, match="robot"):
        await SessionManager().add_message("robot", "Hi")


async def test_clear_forgets_every_turn() -> None:
    """After clear the session is as new, under the same id."""
    session = SessionManager("chat-1")
    await session.add_message(MessageRole.USER, "Hi")
    await session.clear()
    assert session.get_messages() == []
    assert session.session_id == "chat-1"


def test_sessions_have_ids_of_their_own() -> None:
    """Two sessions are never mistaken for each other."""
    assert SessionManager().session_id != SessionManager().session_id
