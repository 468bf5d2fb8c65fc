"""`url: embedded`: one server for all processes of a user that ask for the same name."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import quote

from ..errors import ConfigError
from .binary import find_server
from .launch import Plan

__all__ = ["SharedServer"]

LONGEST_PATH = 85  # of the directory; a socket's path may have 103 bytes on macOS, 107 on Linux


@dataclass(slots=True, eq=False)
class SharedServer:
    """A share in the server of this user and name: it lives while any process holds one.

    It listens on a unix socket in a directory that only this user may enter, and on no port.
    The share is a lock that the kernel takes back when a process ends, however it ends.
    """

    url: str
    description: str
    _lock: IO[bytes]

    @classmethod
    def open(cls, name: str = "default") -> SharedServer:
        """Take a share, and start the server when nobody has yet. Safe when many do so at once.

        Raises:
            ConfigError: no server binary, or the directory is not ours alone.
            CoordinationError: it does not start.
        """
        directory = _own_directory(name)
        address = directory / "server.sock"
        lock = (directory / "lock").open("ab")
        fcntl.flock(lock, fcntl.LOCK_SH)  # waits while a watcher clears away the server before
        try:
            with _only_one(directory / "starting"):
                origin = _start_unless_it_runs(directory, address)
        except BaseException:
            lock.close()
            raise
        return cls(f"unix://{quote(str(address))}", f"embedded {origin} at {address}", lock)

    def close(self) -> None:
        """Give the share back; the server ends with the last one. May be called twice."""
        self._lock.close()


def _start_unless_it_runs(directory: Path, address: Path) -> str:
    """What runs at the address now, in words."""
    origin = directory / "origin"
    plan = Plan(
        binary="",
        directory=directory,
        lock=directory / "lock",
        trash=address,
        address=str(address),
        settings={"port": "0", "unixsocket": f'"{address}"', "unixsocketperm": "700"},
    )
    if plan.ask("PING") == "+PONG":
        return f"{origin.read_text()} (already running)"
    binary = find_server()
    address.unlink(missing_ok=True)
    (directory / "server.log").unlink(missing_ok=True)
    replace(plan, binary=binary.path).start().let_go()
    origin.write_text(binary.description)
    return binary.description


def _own_directory(name: str) -> Path:
    """The directory of this user and name, made with mode 0700 and refused when it is not ours."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        name = hashlib.sha256(name.encode()).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = Path(runtime if os.path.isdir(runtime) else tempfile.gettempdir())
    directory = parent / f"llm_fleet-{os.getuid()}" / name
    for path in (directory.parent, directory):
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigError(
                f"{path} must be a directory of this user alone (mode 0700). Remove it, point "
                f"XDG_RUNTIME_DIR or TMPDIR elsewhere, or set redis.url to a server of your own."
            )
    if len(str(directory)) > LONGEST_PATH:
        raise ConfigError(
            f"{directory} is too long for a unix socket: point XDG_RUNTIME_DIR or TMPDIR elsewhere."
        )
    return directory


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("ab") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
