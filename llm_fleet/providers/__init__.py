"""One vendor per file; `adapter_for(kind)` imports only the one that is asked for."""

from .registry import KINDS, adapter_for

__all__ = ["KINDS", "adapter_for"]
