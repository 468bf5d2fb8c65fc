"""What a run tells of its 429s: the resource, and whether the request came later than its jitter allows."""

from __future__ import annotations

import time
from typing import Any, cast

from pydantic import SecretStr

from benchmarks.fleet import _lines
from benchmarks.plan import Plan
from benchmarks.report import figures_of
from llm_fleet.client import endpoint
from llm_fleet.config import PoolConfig
from llm_fleet.models import Call, Message, MessageRole, Response, Usage
from llm_fleet.pool import ClientPool
from tests.test_benchmarks import ONE, outcome, row
from tests.test_engine_pacing import desk_of, late_lease


class Adapter:
    """Keeps what it is to send."""

    kind = "fake"

    def load(self) -> None: ...

    def open_client(self, **options: Any) -> None: ...

    async def close_client(self, sdk: Any) -> None: ...

    async def complete(self, sdk: Any, call: Call) -> Response:
        self.headers: dict[str, str] = call.extra["extra_headers"]
        return Response("", Usage(), "m")


def refused(t: float, granted: str | None) -> dict[str, Any]:
    """A 429 that named output tokens."""
    return {**row(t), "status": 429, "rejected_by": "output_tokens", "granted": granted}


def test_each_429_names_its_resource_and_its_delay() -> None:
    """The report says of every 429 what it named, where, when, and how long after its grant it arrived."""
    figures = figures_of(outcome(ONE, {**row(100.0), "granted": "99.900"}, refused(103.5, "102.250")))
    told = "output_tokens of account-1 at 3.500 s, 1.250 s after its grant"
    assert figures["429_each"] == [told]
    assert figures["grant_to_arrival_s"] == {"p50": 0.1, "p95": 1.25, "p99": 1.25, "max": 1.25}
    assert any(line.endswith(told) for line in _lines(figures))


def test_without_the_time_of_the_grant_no_delay_is_told() -> None:
    """A server that does not note it leaves the delay out, not the 429."""
    figures = figures_of(outcome(ONE, row(0.0), refused(2.0, None)))
    assert figures["429_each"] == ["output_tokens of account-1 at 2.000 s"]
    assert figures["grant_to_arrival_s"] == {}


def test_a_seed_is_for_the_provider() -> None:
    """Runs with other seeds see other answers; without one the server has its own."""
    assert Plan(seed=3).provider_config()["seed"] == 3
    assert "seed" not in Plan().provider_config()


async def test_trace_headers_tell_when_the_grant_was() -> None:
    """The request carries the wall time of its grant, so that the receiver sees how old it is."""
    lease = late_lease(desk_of({"k": "a"}), "k", 0.0)
    pool = ClientPool(
        cast(Any, adapter := Adapter()), {"k": SecretStr("sk-test-not-a-real-key-1")}, PoolConfig()
    )
    call = Call("p", "m", (Message(MessageRole.USER, "Hi"),), 10, lease=lease)
    await endpoint(cast(Any, adapter), pool, trace_headers=True)(call)
    age_s = time.time() - float(adapter.headers["x-llm-fleet-granted"])
    assert 1.0 - 0.01 <= age_s < 10.0


async def test_what_was_granted_without_redis_has_no_fence() -> None:
    """A fence is a number of Redis; a lease of the share has none to send."""
    lease = late_lease(desk_of({"k": "a"}), "k", 0.0)
    pool = ClientPool(
        cast(Any, adapter := Adapter()), {"k": SecretStr("sk-test-not-a-real-key-1")}, PoolConfig()
    )
    for lease.fence in (7, 0):
        call = Call("p", "m", (Message(MessageRole.USER, "Hi"),), 10, lease=lease)
        await endpoint(cast(Any, adapter), pool, trace_headers=True)(call)
        assert adapter.headers.get("x-llm-fleet-fence") == (str(lease.fence) if lease.fence else None)
