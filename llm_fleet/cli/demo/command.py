"""`llm-fleet demo`: no Redis, no API keys, one command."""

from __future__ import annotations

from typing import Annotated

import typer

from ...errors import LLMFleetError
from ..render import open_console, print_json

__all__ = ["demo"]


def demo(
    seconds: Annotated[float, typer.Option(min=2, max=600, help="How long the fleet works.")] = 16.0,
    json: Annotated[bool, typer.Option("--json", help="Only the results, as one JSON object.")] = False,
) -> None:
    """Let 4 processes share the limits of 4 made-up keys, kill one of them, and count what that costs.

    Uses a private Redis and a simulated provider, both gone at the end; with REDIS_URL set, that server.
    """
    import asyncio

    from .report import results
    from .screen import LiveScreen, PlainLines
    from .show import perform
    from .stage import open_stage
    from .tables import print_results

    console = open_console()

    def say(line: str) -> None:
        if not json:
            console.print(line)

    screen = LiveScreen(console) if console.is_terminal and not json else PlainLines(console)
    with open_stage(say) as stage, screen:
        scene = asyncio.run(perform(stage, seconds, say, screen.show if not json else lambda scene: None))
    found = results(scene)
    if not found["accepted"]:
        said = "; ".join(found["errors"]) or "no process reported an error"
        raise LLMFleetError(f"the demo got no request through: {said}")
    if json:
        print_json(found)
    else:
        print_results(console, found)
