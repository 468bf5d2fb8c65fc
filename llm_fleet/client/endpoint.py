"""The end of the chain: one attempt at the provider with the SDK client of the leased key."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..chain import Handler
from ..engine.lease import Lease
from ..errors import LeaseLost
from ..models import Call, Response
from ..pool import ClientPool
from ..providers.adapter import Adapter

__all__ = ["endpoint"]


def endpoint(adapter: Adapter, pool: ClientPool, *, trace_headers: bool = False) -> Handler:
    """The handler that sends; `trace_headers` names ticket, fence and time of the grant."""

    async def send(call: Call) -> Response:
        lease = call.lease
        assert isinstance(lease, Lease)
        async with pool.client(lease.key_id) as sdk:
            if not await lease.ready():
                raise LeaseLost(
                    f"provider {call.provider}: lease {lease.ticket} ended before the request was sent"
                )
            return await adapter.complete(sdk, _traced(call, lease) if trace_headers else call)

    return send


def _traced(call: Call, lease: Lease) -> Call:
    extra: Mapping[str, Any] = call.extra
    granted_at = time.time() - (time.monotonic() - lease.granted_at)
    headers = {
        "x-llm-fleet-ticket": lease.ticket,
        **({"x-llm-fleet-fence": str(lease.fence)} if lease.fence else {}),
        "x-llm-fleet-granted": f"{granted_at:.3f}",
    }
    return replace(call, extra={**extra, "extra_headers": {**extra.get("extra_headers", {}), **headers}})
