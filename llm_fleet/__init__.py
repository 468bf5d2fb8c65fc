"""llm_fleet: many processes call LLM providers as if one careful client did it.

Importing this opens nothing and imports no vendor SDK.
"""

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
