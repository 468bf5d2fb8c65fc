"""What the tests share: real servers, namespaces, and the simulated provider in its own process."""

from __future__ import annotations

import gc
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import redis
from hypothesis import settings

from llm_fleet.embedded import PrivateServer
from llm_fleet.store import Store, StoreOptions
from tests.nursery import Nursery

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # run in the background of a shell: Ctrl-C would be ignored by every command that a test starts, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("fleet", deadline=None)  # how long an example takes is the machine's matter
settings.load_profile("fleet")


def pytest_collection_finish() -> None:
    """What has been imported by now stays: no collection of garbage has to look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server() -> Iterator[PrivateServer]:
    """A real server for all tests of this process; not to be killed (see `own_server`)."""
    with PrivateServer.start() as running:
        yield running


@pytest.fixture
def redis_url(server: PrivateServer) -> str:
    """Url of `server`, which is empty now."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def own_server() -> Iterator[Callable[..., PrivateServer]]:
    """Starts servers of this test alone: `own_server()`; takes what `PrivateServer.start` takes."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(PrivateServer.start(**options))


@pytest.fixture
async def open_store() -> AsyncIterator[Callable[..., Store]]:
    """Opens stores: `open_store(url, command_timeout_s=…)`; closed at the end."""
    opened: list[Store] = []

    def open_one(url: str, **options: Any) -> Store:
        opened.append(Store(StoreOptions(url, **options)))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """The process that is forked for every simulator of this process's tests."""
    with closing(Nursery()) as opened:
        yield opened


@pytest.fixture
def simulator(nursery: Nursery) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Starts simulated providers: `simulator({"accounts": …})` gives `.url` and `.books()`."""
    with ExitStack() as running:
        yield lambda config: running.enter_context(nursery.simulator(config))
