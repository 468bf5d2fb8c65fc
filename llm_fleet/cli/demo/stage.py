"""What the demo plays on: a Redis, and a simulated provider. Everything ends with the block."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...embedded import PrivateServer
from ...engine.keys import PoolKeys
from ...errors import ConfigError
from ...simulator import RunningSimulator, SimulatorError, run_simulator
from ...store import Store, StoreOptions
from .scenario import POOL, simulator_config

__all__ = ["Stage", "clear_away", "open_stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo runs. `options` hold the url with its password: never to be shown."""

    options: StoreOptions
    description: str
    keys: PoolKeys
    simulator: RunningSimulator


@contextmanager
def open_stage(say: Callable[[str], None]) -> Iterator[Stage]:
    """REDIS_URL, else a private server; and the simulator in a process of its own.

    Raises:
        ConfigError: there is no server to start, or the simulator's extra is not installed.
        CoordinationError: the private server does not start.
    """
    with _redis() as (url, description), _simulator() as simulator:
        say(f"redis      {description}")
        say(f"provider   simulated at {simulator.url}; it enforces its limits itself")
        yield Stage(StoreOptions(url), description, PoolKeys(f"demo-{secrets.token_hex(4)}", POOL), simulator)


@contextmanager
def _redis() -> Iterator[tuple[str, str]]:
    if url := os.environ.get("REDIS_URL"):
        yield url, f"{Store(StoreOptions(url)).description} (REDIS_URL)"
        return
    with PrivateServer.start() as server:
        yield server.url, server.description


@contextmanager
def _simulator() -> Iterator[RunningSimulator]:
    try:
        running = run_simulator(simulator_config())
    except SimulatorError as error:
        raise ConfigError(str(error)) from error
    with running:
        yield running


async def clear_away(store: Store, keys: PoolKeys, processes: set[str]) -> None:
    """Leave nothing of the demo in somebody's Redis."""
    for name in [*keys.all(), *map(keys.mailbox, processes)]:
        await store.call("UNLINK", name)
