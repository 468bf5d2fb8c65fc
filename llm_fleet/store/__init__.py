"""The only place that connects to Redis: standalone, Sentinel, Cluster, TLS, unix socket."""

from .store import Script, Store, StoreOptions
from .wire import Argument

__all__ = ["Argument", "Script", "Store", "StoreOptions"]
