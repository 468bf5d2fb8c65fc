"""What `doctor` finds in the pools: limits, keys, and what dead processes left. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ...config import FleetConfig
from ...engine.domains import pool_limits
from ...engine.registration import Known, offer
from ..render import count_of, some_of
from .findings import Finding
from .health import pool_troubles, state_of

__all__ = ["pool_findings"]

Snapshot = Mapping[str, Any]


def pool_findings(name: str, pool: Snapshot | None, config: FleetConfig | None) -> Iterator[Finding]:
    """Everything about one pool; `config` is the file that is to be in force, if there is one."""
    if pool is None:
        remedy = "start a process that uses it; nothing is wrong before"
        yield Finding("note", "pool", f"{name}: no process has registered yet", remedy)
        return
    found = [
        *(Finding("problem", "pool", f"{name}: {each.text}", each.remedy) for each in pool_troubles(pool)),
        *_left_behind(name, pool),
        *(_against_file(name, pool, config) if config and name in config.providers else ()),
    ]
    if not any(finding.grade in ("warning", "problem") for finding in found):
        live = sum(state_of(process, pool) == "live" for process in pool["processes"].values())
        facts = f"{count_of(len(pool['keys']), 'key')} in service, {count_of(live, 'process')} live"
        yield Finding("ok", "pool", f"{name}: {facts}")
    yield from found


def _left_behind(name: str, pool: Snapshot) -> Iterator[Finding]:
    """Orphaned state: leases, messages and records of processes that are gone."""
    gone = {each: process for each, process in pool["processes"].items() if state_of(process, pool) == "gone"}
    if holding := [each for each, process in sorted(gone.items()) if process["leases"]]:
        leases = sum(gone[each]["leases"] for each in holding)
        text = f"{name}: {count_of(leases, 'lease')} of processes that are gone ({some_of(holding)})"
        remedy = (
            f"each ends {pool['ttl_ms'] / 1000:g} s after its last renewal, with the next call of any process"
        )
        yield Finding("warning", "orphans", text, remedy)
    if unread := [each for each, process in sorted(gone.items()) if process["mailbox"]]:
        text = f"{name}: unread messages for processes that are gone ({some_of(unread)})"
        yield Finding("note", "orphans", text, "nothing: they vanish within a minute")
    if quiet := sorted(set(gone) - set(holding) - set(unread)):
        text = f"{name}: {count_of(len(quiet), 'process')} ended without a goodbye ({some_of(quiet)})"
        remedy = "nothing, if they were killed; else end them with SIGTERM, and close the manager"
        yield Finding("note", "orphans", text, remedy)


def _against_file(name: str, pool: Snapshot, config: FleetConfig) -> Iterator[Finding]:
    """Whether the limits in force, and the accounts of the keys, are those of the file."""
    limits = pool_limits(config.providers[name], config.config_version)
    wanted = json.loads(offer(limits, Known(), 1.0, ()))
    remedy = "`llm-fleet config apply` brings the file's into force at once; so does a newer config_version"
    hashes = {domain: text for domain, text, _ in wanted["domains"]}
    if other := sorted(each for each in hashes if pool["domains"].get(each, {}).get("hash") != hashes[each]):
        sources = sorted({pool["domains"][each]["source"] for each in other if each in pool["domains"]})
        origin = f"from {', '.join(sources)}" if sources else "not registered yet"
        text = f"{name}: the limits in force for {some_of(other)} are not those of this config ({origin})"
        yield Finding("problem", "config", text, remedy)
    weights = {tenant.name: tenant.weight_milli for tenant in limits.tenants}
    if (pool["aging_ms"], pool["weights"]) != (limits.aging_ms, weights):
        text = f"{name}: weights of tenants or aging_seconds in force are not those of this config"
        yield Finding("problem", "config", text, remedy)
    moved = sorted(
        key for key, domains in wanted["keys"] if pool["keys"].get(key, {}).get("domains", domains) != domains
    )
    if moved:
        text = f"{name}: {some_of(moved)} belong to other accounts in the fleet than in this config"
        yield Finding("problem", "config", text, remedy)
