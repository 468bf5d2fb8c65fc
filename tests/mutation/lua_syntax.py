"""Reads Lua 5.1: the tokens of a text, and where each of its statements begins and ends.

A recursive descent over the whole grammar; it keeps places, builds no tree and evaluates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Statement", "Token", "statements", "tokens"]

TOKEN = re.compile(
    r"""(?P<space>\s+|--\[(?P<b>=*)\[.*?\](?P=b)\]|--[^\n]*)
    |(?P<string>\[(?P<l>=*)\[.*?\](?P=l)\]|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<operator>\.\.\.|\.\.|[=~<>]=|[-+*/%^\#<>=(){}\[\];:,.])""",
    re.VERBOSE | re.DOTALL,
)
KEYWORDS = {
    *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil"),
    *("not", "or", "repeat", "return", "then", "true", "until", "while"),
}
BINARY = {"+", "-", "*", "/", "^", "%", "..", "<", "<=", ">", ">=", "==", "~=", "and", "or"}
UNARY = {"-", "not", "#"}
ENDS = {"end", "else", "elseif", "until", ""}


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its place; `kind` is string, number, name, keyword, operator or end."""

    kind: str
    text: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: its kind, and its place in the text. `values_from` is where a local's `=` stands."""

    kind: str
    start: int
    stop: int
    values_from: int | None = None


def tokens(text: str) -> list[Token]:
    """The tokens of a text, without spaces and comments, and one that marks its end.

    Raises:
        ValueError: this is not Lua.
    """
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"no Lua at {text[at : at + 20]!r}")
        kind = match.lastgroup or ""
        for name in ("space", "string", "number", "name", "operator"):
            if match[name] is not None:
                kind = "keyword" if name == "name" and match[name] in KEYWORDS else name
        if kind != "space":
            found.append(Token(kind, match[0], at, match.end()))
        at = match.end()
    return [*found, Token("end", "", at, at)]


def statements(text: str) -> list[Statement]:
    """Every statement of a text, nested ones too, in the order of their beginnings."""
    reader = _Reader(tokens(text))
    reader.block()
    reader.expect("")
    return sorted(reader.found, key=lambda statement: (statement.start, -statement.stop))


class _Reader:
    """Goes through the tokens; notes each statement that it has passed."""

    def __init__(self, all_tokens: list[Token]) -> None:
        self._tokens, self._at = all_tokens, 0
        self.found: list[Statement] = []

    # -- tokens ----------------------------------------------------------------------------------

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, *texts: str) -> bool:
        return self._now.kind in ("keyword", "operator", "end") and self._now.text in texts

    def _skip(self, text: str) -> bool:
        if self._is(text):
            self._at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self._is(text):
            raise ValueError(f"{text!r} was expected at {self._now.start}, not {self._now.text!r}")
        self._at += bool(text)

    def _name(self) -> None:
        if self._take().kind != "name":
            raise ValueError(f"a name was expected at {self._tokens[self._at - 1].start}")

    def _listed(self, *separators: str) -> Iterator[None]:
        yield
        while any(self._skip(separator) for separator in separators):
            yield

    # -- statements ------------------------------------------------------------------------------

    def block(self) -> None:
        while not self._is(*ENDS):
            self._statement()
            self._skip(";")

    def _statement(self) -> None:
        start, values_from = self._now.start, None
        kind = self._now.text if self._now.kind == "keyword" else "expression"
        reader = getattr(self, f"_{kind}", None)
        if kind == "expression":
            kind = self._assignment_or_call()
        elif reader is None:
            raise ValueError(f"no statement begins with {kind!r}, at {start}")
        else:
            self._at += 1
            values_from = reader()
            if kind == "local" and self._tokens[self._at - 1].text == "end" and values_from is None:
                kind = "function"
        self.found.append(Statement(kind, start, self._tokens[self._at - 1].stop, values_from))

    def _assignment_or_call(self) -> str:
        for _ in self._listed(","):
            self._suffixed()
        if self._skip("="):
            self._expressions()
            return "assignment"
        return "call"

    def _do(self) -> None:
        self.block()
        self.expect("end")

    def _while(self) -> None:
        self._expression()
        self.expect("do")
        self._do()

    def _repeat(self) -> None:
        self.block()
        self.expect("until")
        self._expression()

    def _if(self) -> None:
        self._expression()
        self.expect("then")
        self.block()
        while self._skip("elseif"):
            self._expression()
            self.expect("then")
            self.block()
        if self._skip("else"):
            self.block()
        self.expect("end")

    def _for(self) -> None:
        for _ in self._listed(","):
            self._name()
        if not self._skip("="):
            self.expect("in")
        self._expressions()
        self.expect("do")
        self._do()

    def _function(self) -> None:
        for _ in self._listed(".", ":"):
            self._name()
        self._body()

    def _local(self) -> int | None:
        if self._skip("function"):
            self._name()
            self._body()
            return None
        for _ in self._listed(","):
            self._name()
        values_from = self._now.start
        if not self._skip("="):
            return None
        self._expressions()
        return values_from

    def _return(self) -> None:
        if not self._is(*ENDS, ";"):
            self._expressions()

    def _break(self) -> None:
        pass

    # -- expressions -----------------------------------------------------------------------------

    def _expressions(self) -> None:
        for _ in self._listed(","):
            self._expression()

    def _expression(self) -> None:
        while self._is(*UNARY):
            self._at += 1
        self._simple()
        if self._is(*BINARY):
            self._at += 1
            self._expression()

    def _simple(self) -> None:
        if self._is("{"):
            self._table()
        elif self._skip("function"):
            self._body()
        elif self._now.kind in ("string", "number") or self._is("nil", "true", "false", "..."):
            self._at += 1
        else:
            self._suffixed()

    def _suffixed(self) -> None:
        if self._skip("("):
            self._expression()
            self.expect(")")
        else:
            self._name()
        while self._suffix():
            pass

    def _suffix(self) -> bool:
        if self._skip(".") or self._skip(":"):
            self._name()
        elif self._skip("["):
            self._expression()
            self.expect("]")
        elif self._skip("("):
            if not self._is(")"):
                self._expressions()
            self.expect(")")
        elif self._is("{"):
            self._table()
        elif self._now.kind == "string":
            self._at += 1
        else:
            return False
        return True

    def _table(self) -> None:
        self.expect("{")
        while not self._skip("}"):
            if self._skip("["):
                self._expression()
                self.expect("]")
                self.expect("=")
            elif self._now.kind == "name" and self._tokens[self._at + 1].text == "=":
                self._at += 2
            self._expression()
            if not (self._skip(",") or self._skip(";")) and not self._is("}"):
                raise ValueError(f"a table does not end at {self._now.start}")

    def _body(self) -> None:
        self.expect("(")
        while not self._skip(")"):
            self._at += 1
        self.block()
        self.expect("end")
