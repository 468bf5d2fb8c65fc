"""The same names, blocking: for threads, WSGI and scripts. The one facade over the async side."""

from .client import KeyLease, LLMClient, TextStream
from .manager import LLMManager, close_all, get_llm_manager
from .session import SessionManager

__all__ = [
    "KeyLease",
    "LLMClient",
    "LLMManager",
    "SessionManager",
    "TextStream",
    "close_all",
    "get_llm_manager",
]
