"""Simulators in processes of their own that need not import anything: forks of one that has, `python -m tests.nursery`.

A test that needs a provider waits for milliseconds then, not for half a second of imports. What a fork
does is what `python -m llm_fleet.simulator` does, whose own tests are in test_simulator_process.py.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from llm_fleet.simulator import RunningSimulator, serve
from tests.waiting import eventually

__all__ = ["Nursery"]

READY_AT_ONCE = (
    "httptools",
    "llm_fleet.simulator.server",
    "uvicorn.protocols.http.auto",
    "uvicorn.loops.auto",
)


class Nursery:
    """One process that is forked for each simulator; it ends with us, and they with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @contextmanager
    def simulator(self, config: dict[str, Any]) -> Iterator[RunningSimulator]:
        """A simulator that answers already; it is killed at the end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(config) + "\n")
        self._process.stdin.flush()
        pid, url = self._process.stdout.readline().split()
        fork: Any = _Fork(int(pid))
        with RunningSimulator(url, fork) as running:
            yield running

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)


class _Fork:
    """A process whose parent is another one: what RunningSimulator asks of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return -signal.SIGKILL
        return None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        assert eventually(self.poll, within_s=10)


def main() -> None:
    """Fork for every line of our input; the fork says its pid and its url."""
    for name in READY_AT_ONCE:
        __import__(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets forks that have ended
    for line in iter(sys.stdin.readline, ""):
        config = json.loads(line)
        if os.fork() == 0:
            _serve(config)


def _serve(config: dict[str, Any]) -> None:
    """Be a simulator until killed, or until the nursery is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    try:
        say = partial(print, os.getpid(), flush=True)
        serve(config, port=0, parent=os.getppid(), announce=say)
    except BaseException:
        traceback.print_exc()
        print(flush=True)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
