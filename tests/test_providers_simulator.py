"""Both adapters over HTTP against the simulated provider, which enforces limits by its own arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from llm_fleet.config import PoolConfig
from llm_fleet.errors import KeyRefused, ProviderUnavailable, StreamInterrupted, Throttled
from llm_fleet.models import Call, Message, MessageRole, Response
from llm_fleet.pool import ClientPool
from llm_fleet.providers import KINDS, adapter_for
from llm_fleet.providers.adapter import Adapter
from llm_fleet.simulator import RunningSimulator, run_simulator
from tests.provider_server import Lease, Reader

ROOMY, UNKNOWN = "sk-test-not-a-real-key-1", "sk-test-not-a-real-key-2"
TIGHT = {kind: f"sk-test-not-a-real-key-{kind}" for kind in KINDS}
MODELS = {"anthropic": "claude-haiku-5-5", "openai": "gpt-6-luna"}
CONFIG = {
    "latency_s": 0.0,
    "output_tokens": 12,
    "chunks": 4,
    "accounts": {
        "roomy": {"keys": [ROOMY], "requests_per_minute": 6000},
        **{kind: {"keys": [TIGHT[kind]], "requests_per_minute": 1} for kind in KINDS},
    },
}


@dataclass(frozen=True, slots=True)
class Provider:
    """One vendor's side of the simulator, and the way to it."""

    kind: str
    simulator: RunningSimulator
    adapter: Adapter
    pool: ClientPool

    async def ask(self, key_id: str = "roomy", sink: Reader | None = None, system: str = "") -> Response:
        messages = (Message(MessageRole.USER, "Hi"),)
        call = Call("pool", MODELS[self.kind], messages, 100, system=system, sink=sink, lease=Lease())
        async with self.pool.client(key_id) as sdk:
            return await self.adapter.complete(sdk, call)


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSimulator]:
    with run_simulator(CONFIG) as simulator:
        yield simulator


@pytest.fixture(params=KINDS)
async def provider(request: pytest.FixtureRequest, running: RunningSimulator) -> AsyncIterator[Provider]:
    kind: str = request.param
    running.set_faults([])
    keys = {"roomy": ROOMY, "unknown": UNKNOWN, "tight": TIGHT[kind]}
    url = running.url + ("/v1" if kind == "openai" else "")
    adapter = adapter_for(kind)
    secrets = {key_id: SecretStr(key) for key_id, key in keys.items()}
    pool = ClientPool(adapter, secrets, PoolConfig(), base_url=url, timeout=0.5)
    yield Provider(kind, running, adapter, pool)
    await pool.close()


async def test_the_usage_of_an_answer_is_that_of_the_books(provider: Provider) -> None:
    """What the response says was consumed is what the provider has counted."""
    response = await provider.ask(system="Be brief")
    entry = provider.simulator.books()["requests"][-1]
    assert response.content
    assert (response.usage.input_tokens, response.usage.output_tokens) == (entry["input_tokens"], 12)


async def test_a_stream_gives_its_text_in_pieces_and_its_usage_exactly(provider: Provider) -> None:
    """The pieces make the content."""
    reader = Reader()
    response = await provider.ask(sink=reader)
    assert len(reader.pieces) > 1
    assert reader.text == response.content
    assert response.usage.output_tokens == 12


async def test_a_429_names_its_resource_and_when_to_return(provider: Provider) -> None:
    """The headers of the refusal say which limit is exhausted."""
    await provider.ask("tight")
    with pytest.raises(Throttled) as caught:
        await provider.ask("tight")
    assert caught.value.resource == "requests"
    assert 50 < (caught.value.retry_after or 0) <= 60


async def test_an_unknown_key_is_refused(provider: Provider) -> None:
    """401 is the key's fault."""
    with pytest.raises(KeyRefused) as caught:
        await provider.ask("unknown")
    assert caught.value.status == 401


@pytest.mark.parametrize("status", [500, 529])
async def test_a_failing_provider_is_unavailable(provider: Provider, status: int) -> None:
    """It is worth another attempt."""
    provider.simulator.set_faults([{"kind": "status", "status": status, "every": 1}])
    with pytest.raises(ProviderUnavailable) as caught:
        await provider.ask()
    assert (caught.value.status, caught.value.retryable) == (status, True)


@pytest.mark.parametrize("fault", ["cut", "stall", "reset"])
async def test_a_broken_stream_is_interrupted(provider: Provider, fault: str) -> None:
    """The text so far is in the error."""
    provider.simulator.set_faults([{"kind": fault, "after_chunks": 2, "every": 1}])
    reader = Reader()
    with pytest.raises(StreamInterrupted) as caught:
        await provider.ask(sink=reader)
    assert caught.value.text == reader.text != ""


async def test_a_hundred_calls_at_once_share_one_client(provider: Provider) -> None:
    """One SDK client serves many calls, streams among them."""
    calls = [provider.ask(sink=Reader() if n % 2 else None) for n in range(100)]
    responses = await asyncio.gather(*calls)
    assert {response.usage.output_tokens for response in responses} == {12}
    assert provider.pool.status()["total_clients"] == 1


def test_a_pool_outlives_its_event_loops(running: RunningSimulator) -> None:
    """asyncio.run after asyncio.run: clients come and go with the loops, without a warning."""
    adapter = adapter_for("anthropic")
    secrets = {"roomy": SecretStr(ROOMY)}
    pool = ClientPool(adapter, secrets, PoolConfig(), base_url=running.url, timeout=0.5)
    provider = Provider("anthropic", running, adapter, pool)
    running.set_faults([])
    for _ in range(3):
        assert asyncio.run(provider.ask()).content
    assert pool.status()["total_clients"] == 0
