"""The values that every layer speaks in."""

from __future__ import annotations

import pytest

from llm_fleet import Message, MessageRole


def test_a_role_may_be_given_as_its_word():
    """As in the SDKs: `Message("user", …)` is the same message."""
    assert Message("user", "Hi") == Message(MessageRole.USER, "Hi")
    assert Message("user", "Hi").role is MessageRole.USER


@pytest.mark.parametrize("role", ["robot", "", None, 5])
def test_a_role_that_is_not_known_is_refused_by_name(role):
    """Where the message is made, with the roles that there are."""
    with pytest.raises(ValueError, match="must be one of system, user, assistant, tool"):
        Message(role, "Hi")
