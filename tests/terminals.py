"""Runs `llm-fleet` on a pseudo-terminal of a given size: what a person would see and type."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Terminal", "screen_of"]

ROOT = Path(__file__).parent.parent
CODE = "from llm_fleet.cli import main; main()"
PATIENCE_S = 20.0


class Terminal:
    """A command at a terminal of `width` columns; `text` is all that it wrote, colours and all."""

    def __init__(self, *arguments: str, width: int = 80, env: dict[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        plain = {
            name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            env={**plain, "TERM": "xterm-256color", **(env or {})},
            preexec_fn=_take_terminal,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        """Press keys; what was shown so far is forgotten."""
        self.text = ""
        os.write(self._master, text.encode())

    def until(self, word: str) -> None:
        """Wait until it shows `word`."""
        self._wait(lambda: word in self.text)

    def prompts(self) -> None:
        """Wait until it asks for a line: what is typed earlier is not read as keys."""
        self._wait(lambda: self.text.endswith("> "))

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.text
            assert self._read(0.1), self.text

    def ends(self) -> int:
        """Read to the end, which must come; the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(0.1):
            assert time.monotonic() < deadline, self.text
        return self._process.wait(PATIENCE_S)

    def _read(self, timeout_s: float) -> bool:
        """False: it has closed the terminal."""
        if not select.select([self._master], [], [], timeout_s)[0]:
            return self._process.poll() is None
        try:
            piece = os.read(self._master, 65536)
        except OSError:
            return False
        self.text += piece.decode(errors="replace")
        return bool(piece)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def screen_of(*arguments: str, width: int = 80, env: dict[str, str] | None = None) -> tuple[str, list[str]]:
    """What a command that ends by itself shows: as it came, and its lines without colours."""
    with Terminal(*arguments, width=width, env=env) as terminal:
        terminal.ends()
        text = terminal.text
    return text, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "").splitlines()
