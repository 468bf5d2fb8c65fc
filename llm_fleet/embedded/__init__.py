"""A private redis or valkey server for demo, development and tests. Knows no client of ours."""

from .binary import ServerBinary, find_server
from .private import PrivateServer
from .shared import SharedServer

__all__ = ["PrivateServer", "ServerBinary", "SharedServer", "find_server"]
