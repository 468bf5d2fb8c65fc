"""What a run is: its options, the presets, and the configs that follow. Starts nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

__all__ = ["SCENARIOS", "Plan", "plan_of"]

Json = dict[str, Any]


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. Limits are per account, each of which has one key; 0 is no such limit."""

    scenario: str = _option("", "preset: a line of 'how it is judged' with its target")
    processes: int = _option(4, "worker processes")
    tasks: int = _option(25, "tasks in each, every one a closed loop")
    calls: int = _option(0, "calls of each task; 0 goes on for --seconds")
    seconds: float = _option(60.0, "how long new calls are begun")
    keys: int = _option(4, "API keys, each with an account of its own")
    rpm: int = _option(120, "requests per minute")
    itpm: int = _option(60_000, "input tokens per minute")
    otpm: int = _option(0, "output tokens per minute, charged as they are produced")
    tpm: int = _option(0, "tokens per minute, charged at the start: input + max-tokens")
    slots: int = _option(0, "concurrent requests")
    burst: float = _option(10.0, "seconds of refill that a full bucket holds")
    jitter: float = _option(0.5, "jitter_seconds of the client")
    ttl: float = _option(15.0, "lease_ttl_seconds of the client")
    overstated: float = _option(1.0, "the client is configured with so many times the limits of the provider")
    provider: str = _option("anthropic", "anthropic or openai: protocol and SDK")
    server: str = _option("simulator", "simulator, or strict: the independent provider of the tests")
    latency: float = _option(0.5, "seconds of a call, beside its tokens")
    per_token: float = _option(0.0, "seconds for each output token")
    input: int = _option(200, "input tokens, about; each call from a half to one and a half of it")
    output: str = _option("100", "output tokens: N, or MEDIAN~SIGMA for lognormal")
    max_tokens: int = _option(1024, "max_tokens of each call")
    seed: int = _option(0, "of what the provider draws, as the lengths of its answers; 0 is its own")
    stream_share: float = _option(0.0, "share of the calls that stream")
    kill_after: float = _option(
        0.0, "kill -9 the first process after so many seconds, while it holds a lease; 0 does not"
    )

    freeze_after: float = _option(0.0, "stop Redis (SIGSTOP) after so many seconds; 0 does not")
    freeze_for: float = _option(10.0, "let it go on after so many more")
    on_redis_down: str = _option("share", "share, wait or open: what the workers do meanwhile")

    @property
    def key_names(self) -> list[str]:
        return [f"sk-test-not-a-real-key-{number}" for number in range(1, self.keys + 1)]

    @property
    def accounts(self) -> dict[str, str]:
        """Account -> its key."""
        return {f"account-{number}": key for number, key in enumerate(self.key_names, start=1)}

    def limits(self) -> dict[str, int]:
        """Resource -> limit per minute, of those that are set."""
        given = {
            "requests": self.rpm,
            "input_tokens": self.itpm,
            "output_tokens": self.otpm,
            "tokens": self.tpm,
        }
        return {resource: limit for resource, limit in given.items() if limit}

    def _fields(self, times: float = 1.0) -> Json:
        limits: Json = {
            f"{resource}_per_minute": int(limit * times) for resource, limit in self.limits().items()
        }
        if self.slots:
            limits["max_concurrent_requests"] = self.slots
        return {**limits, "burst_seconds": self.burst}

    def provider_config(self) -> Json:
        """For the simulator, and for the strict provider, which takes the same."""
        median, _, sigma = self.output.partition("~")
        return {
            "latency_s": self.latency,
            "seconds_per_output_token": self.per_token,
            "output_tokens": {"lognormal": [float(median), float(sigma)]} if sigma else int(median),
            "chunks": 8,
            **({"seed": self.seed} if self.seed else {}),
            "accounts": {
                account: {"keys": [key], **self._fields()} for account, key in self.accounts.items()
            },
        }

    def client_config(self, provider_url: str, redis_url: str, namespace: str) -> str:
        """The config of the workers, in JSON, which is YAML too."""
        entry = {
            "base_url": provider_url + ("/v1" if self.provider == "openai" else ""),
            "api_keys": [{"key": key, "account": account} for account, key in self.accounts.items()],
            "models": ["gpt-6-luna" if self.provider == "openai" else "claude-haiku-5-5"],
            "rate_limits": [{**self._fields(self.overstated), "jitter_seconds": self.jitter}],
            "settings": {"max_tokens": self.max_tokens},
            "trace_headers": True,
        }
        redis = {
            "url": redis_url,
            "namespace": namespace,
            "lease_ttl_seconds": self.ttl,
            "on_redis_down": self.on_redis_down,
        }
        switches = {"log_level": "ERROR"}
        return json.dumps({"global": switches, "providers": {self.provider: entry}, "redis": redis})

    def described(self) -> Json:
        """Every option by its name."""
        return asdict(self)


SCENARIOS: dict[str, Plan] = {
    "seed": Plan(
        calls=1, rpm=12, itpm=5_000, otpm=2_000, burst=60.0, input=80, output="80~0.4", max_tokens=4096
    ),
    "saturated": Plan(),
    "otpm": Plan(
        rpm=1_000,
        itpm=1_000_000,
        otpm=8_000,
        burst=60.0,
        output="200~0.5",
        max_tokens=4096,
        per_token=0.005,
    ),
    "openai-tpm": Plan(
        provider="openai", rpm=1_000, itpm=0, tpm=60_000, input=100, output="150~0.5", max_tokens=512
    ),
    "kill": Plan(seconds=45.0, kill_after=15.0, slots=8, latency=1.0),
    "freeze": Plan(seconds=45.0, itpm=600_000, freeze_after=15.0, slots=8, latency=1.0),
}


def plan_of(options: Json) -> Plan:
    """The preset that `options` name, with all else that they say on top."""
    preset = SCENARIOS.get(options.get("scenario", ""), Plan())
    known = {option.name for option in fields(Plan)}
    return replace(preset, **{name: value for name, value in options.items() if name in known})
