"""A process's own part of the limits, by which it goes on while Redis is away (ENGINE.md §6)."""

from .away import Away

__all__ = ["Away"]
