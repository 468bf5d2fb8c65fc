"""llm_fleet.sync: the same names, blocking, for threads and scripts."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_fleet import manager as asynchronous
from llm_fleet import sync
from llm_fleet.config import parse_config
from llm_fleet.errors import CallTimeout, ConfigError, LLMFleetError, ManagerClosed
from llm_fleet.models import Usage
from tests.managers import HELLO, KEYS, config_text, entry, provider
from tests.waiting import eventually

LIMITS = {"requests_per_minute": 6_000, "input_tokens_per_minute": 600_000, "max_concurrent_requests": 10}


@pytest.fixture
def sim(simulator):
    """A provider of one key."""
    return simulator(provider(limits=LIMITS))


@pytest.fixture
def config(sim, redis_url, namespace):
    """The text of a config with that provider."""
    return config_text(redis_url, namespace, p=entry(sim.url, kind="openai", limits=LIMITS))


@pytest.fixture
def manager(config):
    """A blocking manager, closed at the end."""
    opened = sync.LLMManager(asynchronous.LLMManager(parse_config(config, env={})))
    yield opened
    opened.close()


@pytest.fixture
def environment(config, tmp_path):
    """The environment of another process that uses the same config."""
    path = tmp_path / "llm.yaml"
    path.write_text(config)
    return {**os.environ, "LLM_CONFIG_PATH": str(path)}


def is_quiet(manager) -> bool:
    """Nothing is held and nothing waits."""
    status = manager.fleet_status()["p"]
    return (status["leases"], status["waiting"]) == (0, 0)


def in_flight(sim) -> int:
    return sim.books()["accounts"]["account-0"]["in_flight"]


def test_calls_block_and_answer_as_the_async_ones(manager, sim):
    """complete, stream_complete and count_tokens, with their options."""
    client = manager.get_client()
    response = client.complete(HELLO, max_tokens=10, tag="greeting")
    assert (response.usage.output_tokens, len(response.content.split())) == (10, 10)
    assert len("".join(client.stream_complete(HELLO)).split()) == 20
    assert client.count_tokens(HELLO) == response.usage.input_tokens
    assert client.provider == "p"
    assert manager.metrics()["calls"] == 2
    assert manager.get_status("p")["total_clients"] == 1


def test_many_threads_share_one_manager(manager, sim):
    """40 calls from 20 threads over 10 slots: all succeed, none draws a 429."""
    client = manager.get_client()
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: client.complete(HELLO).content, range(40)))
    assert all(answers)
    account = sim.books()["accounts"]["account-0"]
    assert (account["accepted"], account["rejected"]) == (40, 0)


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_generator_left_half_read_is_ended(manager, sim, leave):
    """Closed, or dropped for the garbage collector: the call ends, what it held is given back."""
    sim.set_faults([{"kind": "stall", "after_chunks": 1, "every": 1}])
    pieces = manager.get_client().stream_complete(HELLO)
    assert next(pieces)
    if leave == "close":
        pieces.close()
    del pieces
    gc.collect()
    assert eventually(lambda: is_quiet(manager))
    assert eventually(lambda: in_flight(sim) == 0)


def test_a_stream_is_a_with_block(manager, sim):
    """Text inside, the response at its end and not before; left early, the call ends."""
    client = manager.get_client()
    with client.stream(HELLO, max_tokens=10) as stream:
        with pytest.raises(LLMFleetError, match="read to the end"):
            _ = stream.response
        text = "".join(stream)
    assert (stream.response.content, stream.response.usage.output_tokens) == (text, 10)
    sim.set_faults([{"kind": "stall", "after_chunks": 1, "every": 1}])
    with client.stream(HELLO) as stream:
        assert next(stream)
    assert eventually(lambda: is_quiet(manager) and in_flight(sim) == 0)
    with pytest.raises(LLMFleetError, match="inside its"):
        next(stream)


class TimeLimit(Exception):
    """What a worker raises in a task by a signal when its time is over."""


INTERRUPTIONS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGALRM, TimeLimit)]


@pytest.mark.parametrize(("signum", "error"), INTERRUPTIONS)
def test_what_interrupts_the_caller_cancels_the_call(manager, sim, signum, error):
    """Ctrl-C, and a soft time limit raised by a signal: nothing stays held or in flight."""

    def limit(*_):
        raise error

    sim.set_faults([{"kind": "stall", "after_chunks": 0, "every": 1}])
    previous = signal.signal(signum, limit)
    watcher = threading.Thread(
        target=lambda: eventually(lambda: in_flight(sim) == 1) and os.kill(os.getpid(), signum)
    )
    try:
        watcher.start()
        with pytest.raises(error):
            manager.get_client().complete(HELLO)
    finally:
        watcher.join()
        signal.signal(signum, previous)
    assert eventually(lambda: is_quiet(manager) and in_flight(sim) == 0)


def test_a_timeout_ends_the_call(manager, sim):
    """`timeout` bounds it as on the async side."""
    sim.set_faults([{"kind": "stall", "after_chunks": 0, "every": 1}])
    with pytest.raises(CallTimeout):
        manager.get_client().complete(HELLO, timeout=1)
    assert eventually(lambda: is_quiet(manager))


def test_a_lease_is_a_with_block(manager):
    """The key inside; given back when settled, and by an error."""
    client = manager.get_client()
    with client.lease(input_tokens=100, max_tokens=10) as lease:
        assert lease.api_key == KEYS[0]
        lease.settle(Usage(input_tokens=50, output_tokens=5))
    with pytest.raises(ZeroDivisionError), client.lease(input_tokens=100):
        1 / 0  # noqa: B018
    assert eventually(lambda: is_quiet(manager))


def test_sessions_block_too(manager):
    """In memory and in Redis."""
    for session in (sync.SessionManager(), sync.SessionManager.open("chat", manager)):
        session.add_message("user", "Hello")
        session.refresh()
        assert [message.content for message in session.get_messages()] == ["Hello"]
        session.clear()
        assert len(session) == 0
    assert session.session_id == "chat"


def test_one_manager_serves_both_sides(environment, monkeypatch):
    """get_llm_manager() here and there is the same; after close() a new one."""
    monkeypatch.setenv("LLM_CONFIG_PATH", environment["LLM_CONFIG_PATH"])
    first = sync.get_llm_manager()
    assert asynchronous.opened_manager() is first._manager
    sync.close_all()
    with pytest.raises(ManagerClosed):
        first.get_client()
    second = sync.get_llm_manager()
    assert second.get_client().complete(HELLO).content
    second.close()


def test_its_own_loop_is_no_place_to_block(manager):
    """Middleware that calls the blocking names would wait for itself: it is told so."""

    async def confused(call, call_next):
        return manager.get_client().complete(HELLO)

    manager.add_middleware(confused)
    with pytest.raises(ConfigError, match="async names"):
        manager.get_client().complete(HELLO)


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
@pytest.mark.parametrize(("module", "name"), [(socket, "socket"), (threading, "Lock")])
def test_patched_threads_are_refused_by_name(config, library, module, name, monkeypatch):
    """gevent and eventlet put classes of their own into `socket` and `threading`."""
    manager = asynchronous.LLMManager(parse_config(config, env={}))
    original = getattr(module, name)
    patched = type(name, (), {"__module__": f"{library}.patched", "__new__": lambda *_: original()})
    monkeypatch.setattr(module, name, patched)
    with pytest.raises(ConfigError, match=f"{library} has patched `{module.__name__}`"):
        manager.fleet.connect()


def test_a_script_that_forgets_to_close_leaves_nothing(manager, environment):
    """At its end the last settle is sent and the process leaves the fleet."""
    code = (
        "from llm_fleet import sync; from tests.managers import HELLO;"
        "print(sync.get_llm_manager().get_client().complete(HELLO).usage.output_tokens)"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("20\n", "")
    status = manager.fleet_status()["p"]
    assert (status["leases"], status["processes"]) == (0, {})


def test_forked_children_call_through_threads_of_their_own(environment, sim):
    """A manager used before the fork: parent and children go on calling, each by itself."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.sync_forks", "3"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ran.stderr == ""
    assert sorted(ran.stdout.split()) == ["child", "child", "child", "parent"]
    account = sim.books()["accounts"]["account-0"]
    assert (account["accepted"], account["rejected"], account["in_flight"]) == (8, 0, 0)
