"""The ways to get a simulator: in this process, or in one of its own that goes when we go.

Knows the command line and the control paths of the simulator, not what it does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from .config import SimulatorConfig, SimulatorConfigError, SimulatorError, parse_config

__all__ = ["RunningSimulator", "run_simulator", "serve"]

CONTROL_TIMEOUT_S = 30.0
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def serve(
    config: Mapping[str, Any] | SimulatorConfig,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    parent: int | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve a simulated provider in this process; returns when interrupted.

    `port` 0 takes a free one. `announce` gets the url as soon as it answers. With `parent` it
    ends when that process is no longer our parent.

    Raises:
        SimulatorConfigError: the config cannot work; names the field.
        SimulatorError: uvicorn is not installed, or the address cannot be had.
    """
    if not isinstance(config, SimulatorConfig):
        config = parse_config(config)
    _require_uvicorn()
    from .server import run

    run(config, (host, port), parent=parent, announce=announce)


def run_simulator(config: Mapping[str, Any], *, host: str = "127.0.0.1", port: int = 0) -> RunningSimulator:
    """Start a simulated provider in a process of its own; returns when it answers.

    To be used with `with`, or ended by `stop()`. It also ends when this process does.

    Raises:
        SimulatorConfigError: the config cannot work; names the field.
        SimulatorError: uvicorn is not installed, or the address cannot be had.
    """
    parse_config(config)
    _require_uvicorn()
    arguments = ["--config", "-", "--host", host, "--port", str(port), "--parent", str(os.getpid())]
    process = subprocess.Popen(
        [sys.executable, "-m", __package__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us: what is in flight may still be answered
        env=os.environ | {"PYTHONPATH": os.pathsep.join(_import_path())},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(json.dumps(config))
    with process.stdout as answer:
        url = answer.readline().strip()
    if not url:
        raise SimulatorError(
            f"simulator: its process ended with {process.wait()} before it answered; "
            "its standard error says why"
        )
    return RunningSimulator(url, process)


class RunningSimulator:
    """A simulator in its own process. `url` is anthropic's base url, `url + "/v1"` openai's."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def books(self, *, requests: bool = True) -> dict[str, Any]:
        """The books; `requests=False` leaves the single requests out, which is cheaper."""
        books: dict[str, Any] = self._ask("/_books" if requests else "/_books?requests=0")
        return books

    def set_faults(self, faults: Iterable[Mapping[str, Any]]) -> None:
        """Put these faults in place of those in force; all their counting starts anew.

        Raises:
            SimulatorConfigError: one cannot work; names the field.
        """
        self._ask("/_faults", [dict(fault) for fault in faults])

    def reset(self) -> None:
        """Full levels and empty books; faults and calls in flight stay."""
        self._ask("/_reset", {})

    def stop(self) -> None:
        """End it, with whatever is in flight. May be called twice."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> RunningSimulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        try:
            with _NO_PROXY.open(request, timeout=CONTROL_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise SimulatorConfigError(json.load(error)["error"]) from error
        except OSError as error:
            raise SimulatorError(f"simulator: {self.url} does not answer ({error}); has it ended?") from error


def _import_path() -> list[str]:
    """Where the new process finds this package, however we found it."""
    here = str(Path(__file__).parents[2])
    return [here, *filter(None, [os.environ.get("PYTHONPATH")])]


def _require_uvicorn() -> None:
    if importlib.util.find_spec("uvicorn") is None:
        raise SimulatorError("simulator: uvicorn is not installed; pip install 'llm_fleet[simulator]'")
