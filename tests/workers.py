"""Other people's workers as processes of a test: started, waited for, ended by the group they lead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import eventually

__all__ = ["Worker", "free_port", "running"]

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Worker:
    """A running worker; what it prints goes into a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log
        self.pid = process.pid

    @property
    def log(self) -> str:
        """Everything it has printed so far."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until it has printed this so many times."""
        found = eventually(
            lambda: self.log.count(text) >= times or self._process.poll() is not None, within_s=20
        )
        assert found, f"no {text!r} in:\n{self.log}"
        assert self.log.count(text) >= times, f"ended before {text!r}:\n{self.log}"

    def terminate(self) -> int:
        """SIGTERM, and its exit code."""
        self._process.terminate()
        return self._process.wait(20)


@contextmanager
def running(arguments: list[str], env: Mapping[str, str], log: Path) -> Iterator[Worker]:
    """Run `python -m …` with these variables besides ours; whatever is left of its group is killed."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **env},
            start_new_session=True,
        )
    try:
        yield Worker(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
