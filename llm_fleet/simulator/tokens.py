"""How the simulator counts input and what it says: one word is one token. Pure.

Input: one token for every four bytes of text in UTF-8, rounded up, and four for each message.
Text is every string inside `system`, `messages`, `tools` (also `input`, `instructions`), but not
the names of fields, roles and types.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

__all__ = ["count_input_tokens", "pieces", "words"]

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4

_COUNTED = ("system", "messages", "tools", "input", "instructions")
_NOT_TEXT = frozenset({"role", "type", "cache_control"})
_SENTENCE = """
    the fleet waits at the harbour while one careful pilot counts every ship and lets the next one
    sail when the tide allows it and no captain ever has to turn back
"""
_VOCABULARY = [f"{word} " for word in _SENTENCE.split()]


def count_input_tokens(body: Mapping[str, Any]) -> int:
    """Tokens of a request's input, whichever dialect it is in."""
    size = sum(_text_bytes(body[field]) for field in _COUNTED if field in body)
    messages = body.get("messages") or body.get("input") or ()
    count = len(messages) if isinstance(messages, list) else 1
    return -(-size // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * count


def words(count: int, start: int = 0) -> str:
    """`count` words, each followed by a space; `start` words of the text came before."""
    first = start % len(_VOCABULARY)
    rounds = (first + count) // len(_VOCABULARY) + 1
    return "".join((_VOCABULARY * rounds)[first : first + count])


def pieces(total: int, count: int) -> list[int]:
    """`total` tokens in `count` pieces as equal as can be."""
    bounds = [total * index // count for index in range(count + 1)]
    return [after - before for before, after in pairwise(bounds)]


def _text_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    if isinstance(value, dict):
        return sum(_text_bytes(part) for name, part in value.items() if name not in _NOT_TEXT)
    return 0
