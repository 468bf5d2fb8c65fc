"""What a user calls, and the two ends of the chain."""

from .client import CallOptions, LLMClient
from .endpoint import endpoint
from .estimates import Estimates

__all__ = ["CallOptions", "Estimates", "LLMClient", "endpoint"]
