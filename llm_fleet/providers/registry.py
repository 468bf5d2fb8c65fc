"""Which adapter serves which `kind` of provider entry."""

from __future__ import annotations

from ..errors import ConfigError
from .adapter import Adapter

__all__ = ["KINDS", "adapter_for"]

KINDS = ("anthropic", "openai")


def adapter_for(kind: str) -> Adapter:
    """The adapter of a kind; the vendor's SDK is imported when its first client is opened."""
    if kind == "anthropic":
        from .anthropic import AnthropicAdapter

        return AnthropicAdapter()
    if kind == "openai":
        from .openai import OpenAIAdapter

        return OpenAIAdapter()
    raise ConfigError(
        f"unknown kind of provider {kind!r}: there are adapters for {', '.join(KINDS)}; "
        "a server that speaks like one of them is configured with `kind` and `base_url`"
    )
