"""SDK clients per API key: reuse, lifetimes, health."""

from .clients import ClientPool

__all__ = ["ClientPool"]
