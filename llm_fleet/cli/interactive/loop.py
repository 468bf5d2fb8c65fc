"""The prompt: reads lines, runs one turn after the other on one event loop, survives their errors.

Between two turns the loop stands still; the fleet's own thread goes on.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from rich.text import Text

from ...config import load_config
from ...errors import LLMFleetError
from ...manager import LLMManager
from ..render import one_line, open_console
from .talk import Talk

__all__ = ["Options", "converse"]

PROMPT = "> "


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    config: Path | None = None
    provider: str | None = None
    model: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    verbose: bool = False


def converse(options: Options) -> bool:
    """Talk until `quit`, the end of the input, or Ctrl-C at the prompt. False: a turn of a script failed.

    Raises:
        ConfigError: the config cannot work.
    """
    with _log_shown(options.verbose), asyncio.Runner() as runner:
        manager = LLMManager(load_config(options.config))
        try:
            asked = {"model": options.model, "system": options.system, "max_tokens": options.max_tokens}
            talk = Talk(manager, options.provider, asked)
            return _take_turns(runner, talk)
        finally:
            runner.run(manager.close())


@contextmanager
def _log_shown(is_verbose: bool) -> Iterator[None]:
    """An error is told once, by the prompt; the log is shown only where it is asked for."""
    logger = logging.getLogger("llm_fleet")
    handler = logging.StreamHandler() if is_verbose else logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _take_turns(runner: asyncio.Runner, talk: Talk) -> bool:
    is_person, all_well = sys.stdin.isatty(), True
    for line in _typed() if is_person else _piped():
        turn = talk.turn(line.strip())
        if turn is None:
            break
        all_well = _run(runner, turn) and all_well
    return all_well or is_person


def _run(runner: asyncio.Runner, turn: Coroutine[Any, Any, None]) -> bool:
    errors = open_console(stderr=True)
    try:
        runner.run(turn)
    except LLMFleetError as error:
        sys.stdout.flush()
        errors.print(Text(f"error: {one_line(error)}", "red"), soft_wrap=True)
        return False
    except KeyboardInterrupt:
        errors.print(Text("\nstopped; what it held was given back", "yellow"))
    return True


def _typed() -> Iterator[str]:
    """Lines of a person, with history and editing where Python has them."""
    with suppress(ImportError):
        import readline  # noqa: F401
    print("hello, status, stress <n>, help, quit; all else is sent. Ctrl-C stops it.")
    while True:
        try:
            yield input(PROMPT)
        except (EOFError, KeyboardInterrupt):
            print()
            return


def _piped() -> Iterator[str]:
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    yield from sys.stdin
