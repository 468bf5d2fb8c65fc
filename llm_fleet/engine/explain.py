"""Explains one ticket: what it waits for and when it is expected to go, what it holds, or how it ended.

The projection is made in Redis (`lua/pool_explain.lua`); here it becomes values. Changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..store import Store
from .keys import PoolKeys
from .reasons import why
from .scripts import load_script
from .values import TENANT_DOMAIN, resource_name

__all__ = ["Ahead", "Binding", "Charge", "Explanation", "explain_ticket", "find_ticket"]


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many tickets are expected to be granted before one: of its tenant, of others, of other bands."""

    own: int = 0
    tenants: int = 0
    higher: int = 0
    lower: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """The resource that makes a ticket wait longest, of which accounts, or of its tenant.

    Amounts: what it needs, what goes before it, what is there now, and the limit per period; None for what
    has none: `pause`, `key` and `concurrency`.
    """

    resource: str
    accounts: tuple[str, ...]
    is_tenants: bool
    need: int | None = None
    ahead: int | None = None
    level: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What a lease took of a limit, and holds of it: predicted output that is not yet produced."""

    resource: str
    account: str
    charged: int
    held: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """A ticket as it is now, and `why` in one sentence for people.

    `state` is queued, granted, settled, cancelled, expired or unknown; None is what does not apply or is
    not known. `starts_in_s` is what time alone brings: exact for the first to go, else a projection in
    which nobody else arrives, nobody overtakes beside a larger one, and calls in flight stay as many.
    Where such have to end first (`waits_for_calls`) it is a lower bound, for nobody knows when they do.
    """

    ticket: str
    state: str = "unknown"
    pool: str | None = None
    why: str = ""
    process: str | None = None
    lane: str | None = None
    keys: tuple[str, ...] = ()
    band: str | None = None
    tenant: str | None = None
    waited_s: float | None = None
    deadline_s: float | None = None
    position: int | None = None
    ahead: Ahead = field(default_factory=Ahead)
    binding: Binding | None = None
    starts_in_s: float | None = None
    is_exact: bool = False
    waits_for_calls: bool = False
    key_id: str | None = None
    granted_s: float | None = None
    charges: tuple[Charge, ...] = ()


async def explain_ticket(store: Store, keys: PoolKeys, ticket: str) -> Explanation:
    """A ticket of one pool by its id; `unknown` where the pool does not know it."""
    text = await store.script(load_script("pool_explain"), keys.all(), [ticket])
    return explanation(ticket, keys.pool, json.loads(text) if text else {"state": "unknown"})


async def find_ticket(store: Store, pools: Iterable[PoolKeys], ticket: str) -> Explanation:
    """The same, of the first pool that knows it; `unknown` with no pool where none does."""
    found = explanation(ticket, None, {"state": "unknown"})
    for keys in pools:
        explained = await explain_ticket(store, keys, ticket)
        if explained.state != "unknown":
            return explained
    return found


def explanation(ticket: str, pool: str | None, view: Mapping[str, Any]) -> Explanation:
    """What the script's answer means."""
    explained = Explanation(
        ticket,
        view["state"],
        pool,
        process=view.get("process"),
        lane=view.get("lane"),
        keys=tuple(view.get("keys") or ()),
        band=view.get("band"),
        tenant=view.get("tenant"),
        waited_s=_seconds(view.get("waited_ms")),
        deadline_s=_seconds(view.get("deadline_ms")),
        position=view.get("position"),
        ahead=Ahead(**view.get("ahead", {})),
        binding=_binding(view["binding"]) if "binding" in view else None,
        starts_in_s=_seconds(view.get("start_ms")),
        is_exact=view.get("is_exact", False),
        waits_for_calls="calls" in view,
        key_id=view.get("key"),
        granted_s=_seconds(view.get("granted_ms")),
        charges=tuple(map(_charge, view.get("charges") or ())),
    )
    return replace(explained, why=why(explained, view))


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _binding(view: Mapping[str, Any]) -> Binding | None:
    resource = resource_name(view["resource"], view["tick_ms"])
    if resource is None:
        return None
    accounts = tuple(name.removeprefix(TENANT_DOMAIN) for name in view["domains"] or ())
    amounts = [view[name] for name in ("need", "ahead", "level", "limit")] if view["limit"] else [None] * 4
    return Binding(resource, accounts, bool(view.get("is_tenants")), *amounts)


def _charge(view: Mapping[str, Any]) -> Charge:
    resource = resource_name(view["resource"], view["tick_ms"]) or ""
    return Charge(resource, view["domain"], view["charged"], view["held"])
