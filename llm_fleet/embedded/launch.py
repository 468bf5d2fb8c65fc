"""Puts a server on its leash and waits until it answers. Knows nothing of who wants it, or why."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import CoordinationError

__all__ = ["Address", "Plan", "Running"]

LEASH = Path(__file__).with_name("leash.py")
START_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 5.0

Address = tuple[str, int] | str
"""Host and port, or the path of a unix socket."""


def _ask(address: Address, *commands: tuple[str, ...], timeout_s: float = ANSWER_TIMEOUT_S) -> str:
    """Send `commands` over a connection of their own; the last reply, a line or a text.

    Raises:
        OSError: nobody listens there, or no answer came in time.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(address)
        with connection.makefile("rb") as replies:
            reply = b""
            for command in commands:
                connection.sendall(b"*%d\r\n" % len(command) + b"".join(map(_bulk, command)))
                reply = replies.readline()
                if reply.startswith(b"$"):
                    reply = replies.read(int(reply[1:]) + len(b"\r\n"))
    return reply.decode().strip()


def _bulk(word: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode())


@dataclass(frozen=True, slots=True)
class Plan:
    """How a server is to be started: its settings go into a file that only we can read."""

    binary: str
    directory: Path
    lock: Path
    trash: Path
    address: Address
    settings: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    password: str = ""

    def start(self) -> Running:
        """Start it; returns when it answers.

        Raises:
            CoordinationError: it ended at once or did not answer; says what it logged last.
        """
        conf = self.directory / "server.conf"
        log = self.directory / "server.log"
        with os.fdopen(os.open(conf, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(f"{name} {value}\n" for name, value in self._all_settings(log))
        leash = [sys.executable, "-I", "-S", str(LEASH), str(self.lock), str(self.trash)]
        with log.open("ab") as errors, subprocess.Popen(
            [*leash, self.binary, str(conf), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as launcher:
            assert launcher.stdout is not None
            life = os.fdopen(os.dup(launcher.stdout.fileno()), "rb")
        running = Running(int(life.readline() or b"0"), life)
        self._wait_until_it_answers(running, log)
        return running

    def ask(self, *command: str, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
        """Ask the server one thing; "" when it does not answer."""
        login = [("AUTH", self.password)] if self.password else []
        with contextlib.suppress(OSError):
            return _ask(self.address, *login, command, timeout_s=timeout_s)
        return ""

    def _all_settings(self, log: Path) -> list[tuple[str, str]]:
        fixed = {
            "bind": "127.0.0.1",
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "dir": f'"{self.directory}"',
            "logfile": f'"{log}"',
        }
        if self.password:
            fixed["requirepass"] = self.password
        return [*fixed.items(), *self.settings.items()]

    def _wait_until_it_answers(self, running: Running, log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        itself = f"\r\nprocess_id:{running.pid}\r\n"  # not another server that has the port already
        while itself not in self.ask("INFO", "server", timeout_s=0.5):
            if running.ended(within_s=0.01) or time.monotonic() > deadline:
                running.kill()
                last = " / ".join(log.read_text(errors="replace").strip().splitlines()[-2:])
                raise CoordinationError(
                    f"{self.binary} did not start at {self.address}: {last or 'it logged nothing'}. "
                    f"Start it by hand to see more, or set REDIS_URL to a server that runs."
                )


@dataclass(frozen=True, slots=True)
class Running:
    """A server that was started: its pid, and a pipe that ends when it does."""

    pid: int
    life: IO[bytes]

    def ended(self, *, within_s: float = 0.0) -> bool:
        """Whether it has ended, or does so within the time."""
        if self.life.closed:
            return True
        return bool(select.select([self.life], [], [], within_s)[0])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server alone."""
        if not self.ended():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, also to its watcher; returns when it is gone. Harmless when it is already."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)  # the watcher is in the group, so the id is still ours
            self.ended(within_s=ANSWER_TIMEOUT_S)
        self.life.close()

    def let_go(self) -> None:
        """Stop looking at it; it goes on."""
        self.life.close()
