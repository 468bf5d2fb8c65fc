"""llm_fleet: many processes call LLM providers as if one careful client did it.

Importing this opens nothing and imports no vendor SDK; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import LLMClient
    from .errors import (
        CallTimeout,
        ConfigError,
        CoordinationError,
        KeyRefused,
        LimitError,
        LLMFleetError,
        ManagerClosed,
        NeedTooLarge,
        NoUsableKey,
        PoolExhausted,
        ProviderError,
        ProviderUnavailable,
        QueueFull,
        QueueTimeout,
        RequestRefused,
        StreamInterrupted,
        Throttled,
    )
    from .manager import LLMManager, get_llm_manager
    from .models import LLMProvider, Message, MessageRole, Response, ToolCall, Usage
    from .session import SessionManager

__all__ = [
    "CallTimeout",
    "ConfigError",
    "CoordinationError",
    "KeyRefused",
    "LLMClient",
    "LLMFleetError",
    "LLMManager",
    "LLMProvider",
    "LimitError",
    "ManagerClosed",
    "Message",
    "MessageRole",
    "NeedTooLarge",
    "NoUsableKey",
    "PoolExhausted",
    "ProviderError",
    "ProviderUnavailable",
    "QueueFull",
    "QueueTimeout",
    "RequestRefused",
    "Response",
    "SessionManager",
    "StreamInterrupted",
    "Throttled",
    "ToolCall",
    "Usage",
    "get_llm_manager",
]

__version__ = "0.1.0"

_ROOMS = {
    "client": ("LLMClient",),
    "manager": ("LLMManager", "get_llm_manager"),
    "models": ("LLMProvider", "Message", "MessageRole", "Response", "ToolCall", "Usage"),
    "session": ("SessionManager",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOM_OF.get(name, 'errors')}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
