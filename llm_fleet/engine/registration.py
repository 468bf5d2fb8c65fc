"""How a process makes itself known to a pool: its keys, its limits and what it holds."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .lease import Lease
from .values import DomainLimits, PoolLimits

__all__ = ["Known", "keyset_hash", "lease_wire", "offer"]

_STARTED_AT = time.time()


@dataclass(slots=True)
class Known:
    """What a process knows of the pool's state: with it lost writes are noticed."""

    epoch: str = ""
    fence: int = 0
    is_lost: bool = False


def _short_hash(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]


def keyset_hash(limits: PoolLimits) -> str:
    """The name of the set of keys that this process holds."""
    return _short_hash(",".join(limits.key_ids))


def _domain_wire(domain: DomainLimits) -> list[Any]:
    lanes = [
        [lane.lane, lane.concurrency, [bucket.wire() for bucket in lane.buckets]] for lane in domain.lanes
    ]
    return [domain.name, _short_hash(json.dumps(lanes)), lanes]


def _order_wire(limits: PoolLimits) -> list[Any]:
    weights = {tenant.name: tenant.weight_milli for tenant in limits.tenants}
    limited = {tenant.name: 1 for tenant in limits.tenants if tenant.lane}
    return [_short_hash(json.dumps([limits.aging_ms, weights, limited])), limits.aging_ms, weights, limited]


def lease_wire(lease: Lease, keyset: str, fence: int, predicted: int, is_cold: bool) -> list[Any]:
    """A lease that Redis may not know, as lua/lib/recovery takes it."""
    need = lease.need
    charged = [need.input_tokens, need.max_output_tokens, predicted, int(is_cold), lease.output_tokens]
    queue = f"{need.lane}|{keyset}"
    return [lease.ticket, lease.key_id, queue, fence, *charged, need.band, need.tenant, need.tag]


def _info(limits: PoolLimits) -> str:
    command = os.path.basename(sys.argv[0] or "python") if sys.argv else "python"
    return json.dumps(
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "command": command[:60],
            "started_at": int(_STARTED_AT),
            "keyset": keyset_hash(limits),
            "keys": len(limits.keys),
            "hashes": {domain.name: _domain_wire(domain)[1] for domain in limits.every_domain[:64]},
        }
    )


def _config_wire(limits: PoolLimits) -> dict[str, Any]:
    config: dict[str, Any] = {
        "version": -1 if limits.version is None else limits.version,
        "source": limits.source,
        "domains": [_domain_wire(domain) for domain in limits.every_domain],
        "order": _order_wire(limits),
        "keys": [[key, list(domains)] for key, domains in limits.keys],
    }
    return {**config, "digest": _short_hash(json.dumps(config))}


def offer(
    limits: PoolLimits, known: Known, ttl_s: float, leases: Iterable[Lease], returns: Sequence[Any] = ()
) -> str:
    """ARGV[3] of pool_register."""
    keyset = keyset_hash(limits)
    return json.dumps(
        {
            **_config_wire(limits),
            "known_epoch": known.epoch,
            "known_fence": known.fence,
            "is_lost": known.is_lost,
            "ttl_ms": int(ttl_s * 1000),
            "force": limits.force,
            "keyset": keyset,
            "keyset_keys": limits.key_ids,
            "info": _info(limits),
            "leases": [
                lease_wire(lease, keyset, lease.fence, min(lease.need.max_output_tokens, 256), True)
                for lease in leases
            ],
            "returns": returns,
        }
    )
