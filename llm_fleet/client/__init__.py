"""What a user calls, and the two ends of the chain."""

from .client import CallOptions, LLMClient
from .counting import InputCounter
from .endpoint import endpoint
from .estimates import Estimates
from .lease import KeyLease, Leases
from .patience import wait_at_most
from .stream import TextStream

__all__ = [
    "CallOptions",
    "Estimates",
    "InputCounter",
    "KeyLease",
    "LLMClient",
    "Leases",
    "TextStream",
    "endpoint",
    "wait_at_most",
]
