"""The root of `llm-fleet`: its commands, and which error ends it with which exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

import typer

from ..errors import ConfigError, CoordinationError, LLMFleetError
from . import simulate
from .config import command as config
from .demo import command as demo
from .fleet import apply, doctor, explain, keys, status
from .interactive import command as interactive

__all__ = ["app", "main"]

FAILED, NO_REDIS, BAD_CONFIG = 1, 69, 78
"""As in sysexits.h: EX_UNAVAILABLE and EX_CONFIG. 1 is also `status --check` when degraded, 2 is usage."""

app = typer.Typer(
    name="llm-fleet",
    help="Many processes call LLM providers as if one careful client did it: see, check and try that.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("status")(status.status)
app.command("explain")(explain.explain)
app.command("doctor")(doctor.doctor)
app.command("interactive")(interactive.interactive)
app.command("simulate")(simulate.simulate)
config.app.command("apply")(apply.apply)
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `llm-fleet`: one clear message for every bad input, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding without `·` or bars is no reason to fail
    try:
        app(arguments, prog_name="llm-fleet")
    except LLMFleetError as error:
        print(f"llm-fleet: {error}", file=sys.stderr)
        sys.exit(exit_code(error))


def exit_code(error: LLMFleetError) -> int:
    """What the shell gets to see of an error."""
    match error:
        case ConfigError():
            return BAD_CONFIG
        case CoordinationError():
            return NO_REDIS
        case _:
            return FAILED
