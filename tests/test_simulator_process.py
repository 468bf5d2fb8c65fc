"""The simulator as a process: its life, its books, its command line, and what it refuses to start with."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from llm_fleet.simulator import RunningSimulator, SimulatorConfigError, SimulatorError, run_simulator
from llm_fleet.simulator.server import _listen
from tests.waiting import eventually

KEYS = ["sk-test-not-a-real-key-1", "sk-test-not-a-real-key-2"]
SMALL = {"latency_s": 0.05, "output_tokens": 10, "accounts": {"a": {"keys": KEYS}}}
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    with run_simulator(SMALL) as running:
        yield running


async def ask(provider: RunningSimulator, key: str = KEYS[0], **options: Any) -> None:
    async with AsyncAnthropic(api_key=key, base_url=provider.url, max_retries=0) as sdk:
        await sdk.messages.create(
            model="m", max_tokens=100, messages=[{"role": "user", "content": "hello"}], **options
        )


def in_flight(provider: RunningSimulator) -> int:
    return int(provider.books()["accounts"]["a"]["in_flight"])


async def test_every_request_has_a_row_in_the_books(provider: RunningSimulator) -> None:
    """Who, what, when, and the ticket and fence that it carried; never the key."""
    provider.reset()
    await ask(provider, KEYS[1], extra_headers={"x-llm-fleet-ticket": "t-1", "x-llm-fleet-fence": "7"})
    books = provider.books()
    (row,) = books["requests"]
    assert (
        row.items()
        >= {
            "account": "a",
            "key": 1,
            "status": 200,
            "dialect": "anthropic",
            "model": "m",
            "stream": False,
            "input_tokens": 6,
            "output_tokens": 10,
            "max_output_tokens": 100,
            "complete": True,
            "ticket": "t-1",
            "fence": "7",
        }.items()
    )
    assert books["started_at"] <= row["t"] < row["ended_t"] <= books["now"]
    assert KEYS[1] not in str(books)


async def test_the_books_add_up(provider: RunningSimulator) -> None:
    """Counters, tokens and the most that were in flight at once."""
    provider.reset()
    await asyncio.gather(*[ask(provider) for _ in range(4)])
    page = provider.books(requests=False)["accounts"]["a"]
    assert (page["accepted"], page["rejected"], page["in_flight"]) == (4, 0, 0)
    assert (page["input_tokens"], page["output_tokens"]) == (24, 40)
    assert 2 <= page["peak_concurrency"] <= 4


def test_the_rows_can_be_left_out(provider: RunningSimulator) -> None:
    """For those who look often."""
    assert "requests" in provider.books()
    assert "requests" not in provider.books(requests=False)


async def test_a_client_that_leaves_frees_its_slot(provider: RunningSimulator) -> None:
    """A cancelled call ends at the provider too, unfinished, with what was produced so far."""
    provider.reset()
    provider.set_faults([{"kind": "stall", "after_chunks": 0}])
    call = asyncio.create_task(ask(provider))
    assert await asyncio.to_thread(eventually, lambda: in_flight(provider) == 1)
    call.cancel()
    await asyncio.wait([call])
    assert eventually(lambda: in_flight(provider) == 0)
    (row,) = provider.books()["requests"]
    assert (row["complete"], row["output_tokens"]) == (False, 0)
    provider.set_faults([])


async def test_a_stream_lasts_as_long_as_it_was_told_to() -> None:
    """The latency and the time for each token, from the acceptance to the end."""
    config = SMALL | {"latency_s": 0.1, "seconds_per_output_token": 0.01, "output_tokens": 10}
    with run_simulator(config) as provider:
        await ask(provider, stream=False)
        (row,) = provider.books()["requests"]
    assert 0.2 <= row["ended_t"] - row["t"] < 0.4


async def test_the_same_seed_gives_the_same_lengths() -> None:
    """Outputs are drawn from the seed alone."""
    config = SMALL | {"output_tokens": {"lognormal": [40, 0.5]}, "latency_s": [0.001, 0.002], "seed": 7}
    lengths = []
    for _ in range(2):
        with run_simulator(config) as provider:
            for _ in range(5):
                await ask(provider)
            lengths.append([row["output_tokens"] for row in provider.books()["requests"]])
    assert lengths[0] == lengths[1]
    assert len(set(lengths[0])) > 1


def test_it_is_gone_after_its_context() -> None:
    """Its process has ended, and whoever asks is told so."""
    with run_simulator(SMALL) as provider:
        assert provider.alive
    assert not provider.alive
    with pytest.raises(SimulatorError, match="does not answer"):
        provider.books()


def test_it_ends_when_its_parent_is_killed() -> None:
    """SIGKILL leaves the parent no chance to say good-bye."""
    code = f"from llm_fleet.simulator import run_simulator as r; s = r({SMALL!r}); print(s.pid); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: not runs(pid))


def runs(pid: int) -> bool:
    """Whether it exists and is more than an exit code that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def command(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "llm_fleet.simulator", *arguments]
    return subprocess.run(line, cwd=ROOT, input=text, capture_output=True, text=True, timeout=20, check=False)


def test_the_command_names_an_unknown_field() -> None:
    """Exit code 78 and one line: place and remedy."""
    ended = command("--config", "-", text="accounts: {a: {keys: [k], request_per_minute: 3}}")
    assert ended.returncode == 78
    assert ended.stderr.startswith(
        "simulator config: accounts.a: unknown field 'request_per_minute'; known are keys, requests_"
    )
    assert len(ended.stderr.splitlines()) == 1


def test_the_command_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The path and the reason."""
    ended = command("--config", str(tmp_path / "none.yaml"))
    assert ended.returncode == 78
    assert "none.yaml" in ended.stderr


def test_the_command_says_that_an_address_is_taken(provider: RunningSimulator) -> None:
    """Exit code 69, and the way out."""
    port = provider.url.rsplit(":", 1)[1]
    ended = command("--config", "-", "--port", port, text="accounts: {a: {keys: [k]}}")
    assert ended.returncode == 69
    assert (
        ended.stderr
        == f"simulator: cannot listen on 127.0.0.1:{port} (Address already in use); port 0 takes a free one\n"
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "accounts: Field required"),
        ({"accounts": {}}, "accounts: Dictionary should have at least 1 item"),
        ({"accounts": {"a": {"keys": []}}}, "accounts.a.keys: List should have at least 1 item"),
        (
            {"accounts": {"a": {"keys": ["sk-test-twice"]}, "b": {"keys": ["sk-test-twice"]}}},
            "accounts.b.keys.0 is already a key of 'a'",
        ),
        ({"accounts": {"a": {"keys": ["k"], "requests_per_minute": 0}}}, "accounts.a.requests_per_minute"),
        (SMALL | {"latency_s": [2, 1]}, "latency_s: must be a number, [lowest, highest]"),
        (SMALL | {"latency": 1}, "unknown field 'latency'; known are kind, seed, latency_s"),
        (SMALL | {"faults": [{"kind": "status", "status": 200}]}, "faults.0.status"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_anything_starts(
    config: dict[str, Any], message: str
) -> None:
    """The message names the field, and no key."""
    with pytest.raises(SimulatorConfigError) as caught:
        run_simulator(config)
    assert message in str(caught.value)
    assert "sk-test" not in str(caught.value)


def test_a_dialect_can_be_left_out() -> None:
    """kind: openai knows no /v1/messages."""
    with run_simulator(SMALL | {"kind": "openai"}) as provider:
        request = urllib.request.Request(f"{provider.url}/v1/messages", b"{}")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        with caught.value as answer:
            assert answer.code == 404


async def test_no_answer_waits_for_an_ack() -> None:
    """Connections have TCP_NODELAY: else what follows the headers of an answer leaves 40 ms later."""
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda _, writer: accepted.set_result(writer), sock=_listen("127.0.0.1", 0)
    )
    async with server:
        _, ours = await asyncio.open_connection(*server.sockets[0].getsockname())
        theirs = await accepted
        assert theirs.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for writer in (ours, theirs):
            writer.close()
