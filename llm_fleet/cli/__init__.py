"""The command `llm-fleet`."""

from .registry import main

__all__ = ["main"]
