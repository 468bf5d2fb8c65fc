"""The only place that connects to Redis: standalone, Sentinel, Cluster, TLS, unix socket."""

from .store import Script, Store, StoreOptions

__all__ = ["Script", "Store", "StoreOptions"]
