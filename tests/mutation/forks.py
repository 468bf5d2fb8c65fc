"""Children of this process that say something and end; they may hang or crash and hurt nobody."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Fork", "first_ended", "fork"]

Say = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Fork:
    """A child, and the pipe in which it says something."""

    pid: int
    pipe: int

    def read(self) -> bytes:
        """All that it says; waits until it has ended, or has closed the pipe."""
        with os.fdopen(self.pipe, "rb") as pipe:
            return pipe.read()


def fork(work: Callable[[Say], None]) -> Fork:
    """Start a child that does this and ends; its standard output goes nowhere."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return Fork(pid, reader)
    status = 1
    try:
        os.close(reader)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        if not os.environ.get("MUTATION_DEBUG"):
            os.dup2(nowhere, 2)
        work(lambda said: _write(writer, said))
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def _write(pipe: int, said: bytes) -> None:
    while said:
        said = said[os.write(pipe, said) :]


def first_ended(forks: Iterable[Fork], limit_s: dict[int, float]) -> tuple[Fork, int]:
    """Wait for one of these to end; gives its exit code, or minus the signal. Late ones are killed."""
    started = list(forks)
    while True:
        for child in started:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                return child, os.waitstatus_to_exitcode(status)
            if time.monotonic() > limit_s[child.pid]:
                os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.004)
