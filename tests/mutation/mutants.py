"""The mutants of lua/: every comparison flipped, every statement dropped, one at a time.

flip   a comparison says the opposite: `<` is `>=`, `==` is `~=`
edge   an order's edge moves: `<` is `<=`, `>` is `>=`, and back
drop   a statement is gone; a local stays, without its value. Declarations of functions are not
       dropped, as each statement in them is; nor locals without a value, or with nil.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mutation.lua_syntax import Statement, statements, tokens

__all__ = ["KINDS", "Mutant", "counted", "join", "mutants_of", "script_places", "statement_starts"]

KINDS = ("flip", "edge", "drop")
FLIPS = {"==": "~=", "~=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
EDGES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
NOTHING = re.compile(r"=\s*nil(\s*,\s*nil)*")
INCLUDE = re.compile(r"^ *--@include (lib/\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. `place` is the innermost statement that it is in, by its start."""

    file: str
    kind: str
    start: int
    stop: int
    text: str
    line: int
    place: int
    was: str
    nth: int = 0

    @property
    def name(self) -> str:
        """What it is called in lists; the same as long as its line is."""
        again = f" #{self.nth + 1}" if self.nth else ""
        return f"{self.file} | {self.kind}{again} | {self.was}"

    def apply(self, source: str) -> str:
        """The file with this change; every line stays where it is."""
        return source[: self.start] + self.text + source[self.stop :]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """All mutants of a file, in the order of their places."""
    found = [*_comparisons(file, source), *_drops(file, source)]
    return counted(sorted(found, key=lambda mutant: (mutant.start, KINDS.index(mutant.kind))))


def counted(found: list[Mutant]) -> list[Mutant]:
    """The same mutants, numbered where several of a kind stand on lines with the same text."""
    seen, numbered = Counter[str](), []
    for mutant in found:
        fields = {name: getattr(mutant, name) for name in Mutant.__slots__}
        numbered.append(Mutant(**{**fields, "nth": seen[mutant.name]}))
        seen[mutant.name] += 1
    return numbered


def _comparisons(file: str, source: str) -> Iterator[Mutant]:
    starts = statements(source)
    for token in tokens(source):
        for kind, table in (("flip", FLIPS), ("edge", EDGES)):
            if token.kind == "operator" and token.text in table:
                line, was = _line_at(source, token.start)
                place = _innermost(starts, token.start)
                text = table[token.text]
                yield Mutant(
                    file, kind, token.start, token.stop, text, line, place, f"{token.text} in `{was}`"
                )


def _innermost(found: list[Statement], at: int) -> int:
    inside = [statement for statement in found if statement.start <= at < statement.stop]
    return min(inside, key=lambda statement: statement.stop - statement.start).start


def _drops(file: str, source: str) -> Iterator[Mutant]:
    for statement in statements(source):
        start = statement.start
        if statement.kind == "local":
            if statement.values_from is None or NOTHING.fullmatch(
                source[statement.values_from : statement.stop]
            ):
                continue
            start = statement.values_from
        if statement.kind != "function":
            line, was = _line_at(source, statement.start)
            blank = re.sub(r"[^\n]", " ", source[start : statement.stop])
            place = statement.start
            yield Mutant(file, "drop", start, statement.stop, blank, line, place, f"`{was}`")


def _line_at(source: str, at: int) -> tuple[int, str]:
    line = source.count("\n", 0, at)
    return line + 1, source.splitlines()[line].strip()


def statement_starts(source: str) -> list[int]:
    """Where each statement begins."""
    return sorted({statement.start for statement in statements(source)})


@cache
def script_places(folder: Path) -> dict[str, str]:
    """Every file below lua/ by its name there, without `.lua`: its text."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.lua"))
    }


def join(name: str, texts: Mapping[str, str]) -> str:
    """A script with its includes, and theirs, as `engine/scripts.py` joins it."""
    return INCLUDE.sub(lambda found: join(found[1], texts), texts[name]).strip()
