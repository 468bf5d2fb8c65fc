"""From the configuration to the limits that Redis keeps: domains, lanes, buckets, charge rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..config import (
    FleetConfig,
    ProviderConfig,
    ResolvedLimit,
    ResolvedTenant,
    resolve_concurrency,
    resolve_limits,
    resolve_tenants,
)
from ..profiles import profile_for
from .values import Bucket, DomainLimits, LaneLimits, PoolLimits, TenantLimits

__all__ = ["fleet_limits", "pool_limits"]


def fleet_limits(config: FleetConfig) -> dict[str, PoolLimits]:
    """The limits of every provider entry, by its name."""
    return {name: pool_limits(provider, config.config_version) for name, provider in config.providers.items()}


def pool_limits(
    provider: ProviderConfig, version: int | None, *, source: str = "file", force: bool = False
) -> PoolLimits:
    """The limits of one provider entry. `source` is shown by status; `force` replaces any other."""
    by_domain: dict[str, dict[str, list[ResolvedLimit]]] = defaultdict(lambda: defaultdict(list))
    for limit in resolve_limits(provider):
        by_domain[limit.domain][limit.lane].append(limit)
    domain_of, slots = provider.domains(), resolve_concurrency(provider)
    domains = tuple(
        _domain(provider, name, by_domain.get(name, {}), slots.get(name, 0))
        for name in sorted({*domain_of.values()})
    )
    jitters = [limit.jitter_s for lanes in by_domain.values() for lane in lanes.values() for limit in lane]
    return PoolLimits(
        provider.name,
        keys=tuple((key, (domain,)) for key, domain in sorted(domain_of.items())),
        domains=domains,
        version=version,
        source=source,
        force=force,
        max_queued=provider.settings.max_queued,
        jitter_s=min(jitters, default=0.5),
        tenants=tuple(_tenant(provider, tenant) for tenant in resolve_tenants(provider)),
        aging_ms=max(1, round(provider.settings.aging_seconds * 1000)),
    )


def _tenant(provider: ProviderConfig, tenant: ResolvedTenant) -> TenantLimits:
    buckets = _buckets(provider, tenant.limits)
    slots = tenant.concurrency.amount if tenant.concurrency else 0
    lane = LaneLimits("*", buckets, slots) if buckets or slots else None
    return TenantLimits(tenant.name, round(tenant.weight * 1000), lane)


def _domain(
    provider: ProviderConfig, name: str, lanes: dict[str, list[ResolvedLimit]], slots: int
) -> DomainLimits:
    shared = LaneLimits("*", _buckets(provider, lanes.get("*", [])), slots)
    others = (
        LaneLimits(lane, _buckets(provider, limits)) for lane, limits in sorted(lanes.items()) if lane != "*"
    )
    return DomainLimits(name, (shared, *others))


def _buckets(provider: ProviderConfig, limits: Iterable[ResolvedLimit]) -> tuple[Bucket, ...]:
    rules: dict[str, str] = {str(name): rule for name, rule in profile_for(provider.kind).charge.items()}
    rules.update((str(name), rule) for name, rule in provider.charge.items())
    return tuple(
        Bucket(
            limit.resource,
            limit.amount,
            period_ms=round(limit.period_s * 1000),
            burst_ms=round(limit.burst_s * 1000),
            jitter_ms=round(limit.jitter_s * 1000),
            window_ms=round((limit.window_s or 0) * 1000),
            rule=rules.get(limit.resource, "at_start"),
        )
        for limit in limits
    )
