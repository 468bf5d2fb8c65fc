"""A server of this process alone: it can be killed, frozen and restarted, and dies with us."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import CoordinationError
from .binary import ServerBinary, find_server
from .launch import Plan, Running

__all__ = ["PrivateServer"]


@dataclass(slots=True, eq=False)
class PrivateServer:
    """A real server on a loopback port, without persistence, with a random password.

    It lives in a directory of its own that is removed with it, by `stop()` or when this process
    is gone, SIGKILL included. Not for production: nothing of it survives.
    """

    binary: ServerBinary
    _plan: Plan
    _lock: IO[bytes]
    _running: Running

    @classmethod
    def start(
        cls,
        *,
        port: int | None = None,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> PrivateServer:
        """Start one; returns when it answers.

        `port`: a free one unless given. `password`: random unless given, "" for none.
        `settings` are lines of its configuration file, `arguments` go on its command line.

        Raises:
            ConfigError: no server binary.
            CoordinationError: it does not start; the message says what it logged.
        """
        binary = find_server()
        directory = Path(tempfile.mkdtemp(prefix="llm_fleet-"))
        lock = (directory / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_SH)
        plan = Plan(
            binary=binary.path,
            directory=directory,
            lock=directory / "lock",
            trash=directory,
            address=("127.0.0.1", 0),
            settings=settings or {},
            arguments=arguments,
            password=secrets.token_hex(16) if password is None else password,
        )
        try:
            plan, running = _start_on_a_port(plan, port)
        except BaseException:
            lock.close()
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return cls(binary, plan, lock, running)

    @property
    def port(self) -> int:
        return int(self._plan.address[1])

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def password(self) -> str:
        return self._plan.password

    @property
    def directory(self) -> Path:
        """Where it keeps its log; gone after `stop()`."""
        return self._plan.directory

    @property
    def url(self) -> str:
        """With the password: never to be printed. `description` is for people."""
        login = f":{self._plan.password}@" if self._plan.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    @property
    def description(self) -> str:
        """One line: which server was chosen, and where it listens."""
        return f"private {self.binary.description} on 127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return not self._running.ended()

    def kill(self) -> None:
        """SIGKILL; `restart()` brings it back on the same port."""
        self._running.kill()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        self._running.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running.signal(signal.SIGCONT)

    def restart(self, *, keep_data: bool = False) -> None:
        """End it and start it again on the same port, empty unless `keep_data`.

        Data can only be kept while it is alive: it is asked to save first.
        """
        dump = self._plan.directory / "dump.rdb"
        dump.unlink(missing_ok=True)
        if keep_data:
            self._save()
        self._running.kill()
        self._running = self._plan.start()

    def stop(self) -> None:
        """End it and remove its directory. May be called twice."""
        self._running.kill()
        self._lock.close()
        shutil.rmtree(self._plan.directory, ignore_errors=True)

    def _save(self) -> None:
        answer = self._plan.ask("SAVE")
        if answer != "+OK":
            raise CoordinationError(f"{self.description} could not save its data: {answer or 'no answer'}.")

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _start_on_a_port(plan: Plan, port: int | None) -> tuple[Plan, Running]:
    """Start `plan` on `port`, or on a free one; another process may take that first, so try again."""
    for _ in range(5 if port is None else 1):
        chosen = port or _free_port()
        plan = replace(
            plan, address=("127.0.0.1", chosen), settings={"port": str(chosen), **plan.settings}
        )
        try:
            return plan, plan.start()
        except CoordinationError as error:
            failure = error
    raise failure


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
