"""What is measured, and under which names; the recorder of one process; a hook for OpenTelemetry.

Knows no layer that measures: middleware hands in finished calls.
"""

from __future__ import annotations

import importlib
import logging
import math
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .models import Usage

__all__ = ["CallHook", "CallOutcome", "Recorder", "open_telemetry_hook"]

log = logging.getLogger(__name__)

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
TOKEN_TYPE: Final = "gen_ai.token.type"
ERROR_TYPE: Final = "error.type"
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"
QUEUE_WAIT: Final = "llm_fleet.queue.wait"
CALL_RETRIES: Final = "llm_fleet.call.retries"

CALL_STARTED: Final = "llm_fleet.call.started"
CALL_FINISHED: Final = "llm_fleet.call.finished"
CALL_FAILED: Final = "llm_fleet.call.failed"
HOOK_FAILED: Final = "llm_fleet.hook.failed"

OTHER_MODELS = "(other)"
_LARGEST_SERIES = 500
_GROWTH = math.log(1.08)
_SMALLEST_S, _LARGEST_S = 1e-4, 1e5


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """A call that is over. `error`: the class of its exception, None when it was answered."""

    provider: str
    model: str
    latency_s: float
    queued_s: float = 0.0
    attempts: int = 1
    usage: Usage = field(default_factory=Usage)
    error: str | None = None


class CallHook(Protocol):
    """Something that also wants to know of every call; quick, from any thread."""

    def __call__(self, outcome: CallOutcome, /) -> None: ...


class _Durations:
    """Durations in buckets that grow by 8 %: bounded, and percentiles within 4 %."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count, self._total_s, self._max_s = 0, 0.0, 0.0

    def add(self, duration_s: float) -> None:
        self._count += 1
        self._total_s += duration_s
        self._max_s = max(self._max_s, duration_s)
        self._buckets[math.floor(math.log(min(max(duration_s, _SMALLEST_S), _LARGEST_S)) / _GROWTH)] += 1

    def merge(self, other: _Durations) -> None:
        self._buckets.update(other._buckets)
        self._count += other._count
        self._total_s += other._total_s
        self._max_s = max(self._max_s, other._max_s)

    def quantile(self, share: float) -> float:
        """The duration that `share` of all do not exceed."""
        left = math.ceil(share * self._count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                middle = math.exp((bucket + 0.5) * _GROWTH)
                return min(middle, self._max_s)
        return 0.0

    def snapshot(self) -> dict[str, float]:
        mean = self._total_s / self._count if self._count else 0.0
        quantiles = {f"p{share}": self.quantile(share / 100) for share in (50, 95, 99)}
        return {"mean": mean, **quantiles, "max": self._max_s}


class _Series:
    """What is known of the calls of one model, or of many."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._latency, self._queued = _Durations(), _Durations()

    def add(self, outcome: CallOutcome) -> None:
        counts, usage = self._counts, outcome.usage
        counts["calls"] += 1
        counts["retries"] += outcome.attempts - 1
        counts["input_tokens"] += usage.input_tokens
        counts["output_tokens"] += usage.output_tokens
        counts["cache_read_tokens"] += usage.cache_read_tokens
        if outcome.error is not None:
            self._errors[outcome.error] += 1
        self._latency.add(outcome.latency_s)
        self._queued.add(outcome.queued_s)

    def merge(self, other: _Series) -> None:
        self._counts.update(other._counts)
        self._errors.update(other._errors)
        self._latency.merge(other._latency)
        self._queued.merge(other._queued)

    def snapshot(self) -> dict[str, Any]:
        names = ("calls", "retries", "input_tokens", "output_tokens", "cache_read_tokens")
        return {
            **{name: self._counts[name] for name in names},
            "errors": self._errors.total(),
            "errors_by_class": dict(self._errors),
            "latency_s": self._latency.snapshot(),
            "queued_s": self._queued.snapshot(),
        }


class Recorder:
    """Counts the calls of this process, per provider and model. Safe to use from any thread.

    Beyond 500 pairs of provider and model, new models of a provider count as `(other)`.
    """

    def __init__(self, hooks: Iterable[CallHook] = ()) -> None:
        self._series: dict[tuple[str, str], _Series] = {}
        self._hooks = list(hooks)
        self._failed_hooks: set[int] = set()
        self._lock = threading.Lock()

    def add_hook(self, hook: CallHook) -> None:
        """From now on `hook` hears of every call too."""
        self._hooks.append(hook)

    def record(self, outcome: CallOutcome) -> None:
        """Count a finished call. Never raises because of a hook: its first failure is logged."""
        with self._lock:
            self._series_of(outcome).add(outcome)
        for hook in self._hooks:
            try:
                hook(outcome)
            except Exception:
                self._tell_once(hook)

    def _series_of(self, outcome: CallOutcome) -> _Series:
        name = (outcome.provider, outcome.model)
        if name not in self._series and len(self._series) >= _LARGEST_SERIES:
            name = (outcome.provider, OTHER_MODELS)
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = _Series()
        return series

    def _tell_once(self, hook: CallHook) -> None:
        if id(hook) not in self._failed_hooks:
            self._failed_hooks.add(id(hook))
            log.warning("%s: %r; it is called on, but not logged again", HOOK_FAILED, hook, exc_info=True)

    def snapshot(self) -> dict[str, Any]:
        """Totals, then the same per provider (`providers`), and in each per model (`models`)."""
        total, providers = _Series(), dict[str, _Series]()
        models: dict[str, dict[str, Any]] = {}
        with self._lock:
            for (provider, model), series in self._series.items():
                total.merge(series)
                providers.setdefault(provider, _Series()).merge(series)
                models.setdefault(provider, {})[model] = series.snapshot()
        per_provider = {
            name: {**series.snapshot(), "models": models[name]} for name, series in providers.items()
        }
        return {**total.snapshot(), "providers": per_provider}


def open_telemetry_hook() -> CallHook | None:
    """A hook that feeds OpenTelemetry's metrics; None where `opentelemetry-api` is not installed.

    Histograms and a counter, no spans: the SDKs have their own.
    """
    try:
        metrics = importlib.import_module("opentelemetry.metrics")
    except ImportError:
        return None
    return _OpenTelemetryHook(metrics.get_meter("llm_fleet"))


class _OpenTelemetryHook:
    def __init__(self, meter: Any) -> None:
        self._duration = meter.create_histogram(OPERATION_DURATION, "s", "Duration of a call, waits and all")
        self._tokens = meter.create_histogram(TOKEN_USAGE, "{token}", "Tokens of a call")
        self._queued = meter.create_histogram(QUEUE_WAIT, "s", "Wait for the limits")
        self._retries = meter.create_counter(CALL_RETRIES, "{retry}", "Attempts after the first")

    def __call__(self, outcome: CallOutcome, /) -> None:
        names = {OPERATION_NAME: "chat", PROVIDER_NAME: outcome.provider, REQUEST_MODEL: outcome.model}
        failed = {} if outcome.error is None else {ERROR_TYPE: outcome.error}
        self._duration.record(outcome.latency_s, {**names, **failed})
        self._queued.record(outcome.queued_s, names)
        if outcome.attempts > 1:
            self._retries.add(outcome.attempts - 1, names)
        if outcome.error is None:
            self._tokens.record(outcome.usage.input_tokens, {**names, TOKEN_TYPE: "input"})
            self._tokens.record(outcome.usage.output_tokens, {**names, TOKEN_TYPE: "output"})
