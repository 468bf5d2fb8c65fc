"""The demo's numbers: keys, limits, and the configs that the simulator and the fleet get. Pure."""

from __future__ import annotations

from typing import Any

from ...models import key_id

__all__ = ["PROCESSES", "TASKS", "account_keys", "fleet_config", "lease_ttl_s", "simulator_config"]

PROCESSES = 4
TASKS = 25
KEYS = 4
POOL = "anthropic"

RATES = {"requests_per_minute": 120, "input_tokens_per_minute": 60_000, "output_tokens_per_minute": 30_000}
BURST_S = 10
SLOTS = 8
LIMITS: dict[str, Any] = {**RATES, "max_concurrent_requests": SLOTS, "burst_seconds": BURST_S}


def account_keys() -> dict[str, str]:
    """Account -> its key id."""
    return {account: key_id(key) for account, key in _keys().items()}


def _keys() -> dict[str, str]:
    return {f"account-{n}": f"sk-test-not-a-real-key-{n}" for n in range(1, KEYS + 1)}


def simulator_config() -> dict[str, Any]:
    """A provider that answers in 0.3 to 0.5 s, and enforces what the fleet is told."""
    return {
        "kind": POOL,
        "latency_s": [0.3, 0.5],
        "output_tokens": {"lognormal": [120, 0.5]},
        "accounts": {account: {"keys": [key], **LIMITS} for account, key in _keys().items()},
    }


def fleet_config(base_url: str, redis: dict[str, Any]) -> dict[str, Any]:
    """What every process of the fleet is configured with."""
    return {
        "global": {"enable_logging": False, "log_level": "ERROR"},
        "redis": redis,
        "providers": {
            POOL: {
                "base_url": base_url,
                "models": ["simulated"],
                "api_keys": [{"key": key, "account": account} for account, key in _keys().items()],
                "rate_limits": [LIMITS],
                "settings": {"max_tokens": 500, "timeout": 20},
                "trace_headers": True,
            }
        },
    }


def lease_ttl_s(seconds: float) -> float:
    """Short, so that the slots of the killed process are seen coming back."""
    return min(4.0, max(2.0, seconds / 4))
