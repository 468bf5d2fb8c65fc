"""`llm-fleet interactive`: its options. What it does is loaded only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["interactive"]

FAILED = 1


def interactive(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Else LLM_CONFIG_PATH.")] = None,
    provider: Annotated[str | None, typer.Option(help="A provider of the config; else its default.")] = None,
    model: Annotated[str | None, typer.Option(help="Else the provider's first model.")] = None,
    system: Annotated[str | None, typer.Option(help="The system prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer, in tokens.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log, on stderr.")] = False,
) -> None:
    """Chat through the fleet, within its limits; `hello`, `status` and `stress 20` try it out.

    Takes its lines from stdin where that is no terminal, and then ends with exit code 1 if one failed.
    """
    from .loop import Options, converse

    if not converse(Options(config, provider, model, system, max_tokens, verbose)):
        raise typer.Exit(FAILED)
