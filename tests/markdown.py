"""Takes the code blocks out of a Markdown document, so that tests can run what it shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks_of"]

_BLOCK = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, and where it begins."""

    language: str
    text: str
    place: str


def blocks_of(path: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a document in their order; of one language if given."""
    document = path.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(document):
        line = document.count("\n", 0, match.start()) + 1
        indent = len(match[1])
        text = "".join(row[indent:] for row in match[3].splitlines(keepends=True))
        found.append(Block(match[2], text, f"{path.name}:{line}"))
    return [block for block in found if language in (None, block.language)]
