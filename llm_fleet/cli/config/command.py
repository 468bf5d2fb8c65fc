"""`llm-fleet config`: check a config, and what of it lives in this package; `apply` lives with the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .schema import schema

__all__ = ["app", "check"]

app = typer.Typer(help="The config: whether it works, and what it comes to.", no_args_is_help=True)


@app.callback()
def _commands() -> None:
    """The config: whether it works, and what it comes to."""


app.command("schema")(schema)


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="Else LLM_CONFIG_PATH or config/llm.yaml.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The same.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Read the config and print the limits that every key meets, each with its source.

    `burst` is what may come at once, in time of refill; "6 s of 60 s": the provider counts windows of 60 s.
    Opens no connection and shows no secret. Exit code 78 where the config cannot work; warnings do not count.
    """
    from .effective import print_config  # pydantic: not worth the time of other commands

    print_config(path or config, as_json=json)
