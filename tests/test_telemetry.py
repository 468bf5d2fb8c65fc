"""The recorder counts every call once, keeps little, and tells its hooks."""

from __future__ import annotations

import json
import logging
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_fleet.models import Usage
from llm_fleet.telemetry import CallOutcome, Recorder, open_telemetry_hook


def outcome(model: str = "claude-haiku-5-5", provider: str = "anthropic", **fields: Any) -> CallOutcome:
    return CallOutcome(provider, model, **{"latency_s": 1.0, **fields})


def test_an_empty_recorder_has_a_snapshot() -> None:
    """Before the first call everything is 0, and it is JSON."""
    snapshot = Recorder().snapshot()
    assert (snapshot["calls"], snapshot["latency_s"]["p99"], snapshot["providers"]) == (0, 0.0, {})
    assert json.loads(json.dumps(snapshot)) == snapshot


def test_counts_add_up_over_models_and_providers() -> None:
    """Totals, providers and models count the same calls."""
    recorder = Recorder()
    usage = Usage(100, 10, cache_read_tokens=40)
    recorder.record(outcome("a", attempts=3, usage=usage))
    recorder.record(outcome("b", usage=usage))
    recorder.record(outcome("c", provider="openai", usage=usage))
    snapshot = recorder.snapshot()
    anthropic = snapshot["providers"]["anthropic"]
    assert [part["calls"] for part in (snapshot, anthropic, anthropic["models"]["a"])] == [3, 2, 1]
    assert [part["retries"] for part in (snapshot, anthropic, anthropic["models"]["b"])] == [2, 2, 0]
    assert (snapshot["input_tokens"], snapshot["output_tokens"], snapshot["cache_read_tokens"]) == (
        300,
        30,
        120,
    )


def test_errors_are_counted_by_class() -> None:
    """A failed call is a call, too; its class is counted."""
    recorder = Recorder()
    for error in (None, "Throttled", "Throttled", "QueueTimeout"):
        recorder.record(outcome(error=error))
    snapshot = recorder.snapshot()
    assert (snapshot["calls"], snapshot["errors"]) == (4, 3)
    assert snapshot["errors_by_class"] == {"Throttled": 2, "QueueTimeout": 1}


def test_percentiles_are_within_four_percent() -> None:
    """Latency and queue wait have p50, p95 and p99 without keeping the calls."""
    rng, recorder = random.Random(3), Recorder()
    waits = [rng.lognormvariate(0, 1) for _ in range(5000)]
    for wait in waits:
        recorder.record(outcome(latency_s=wait + 1, queued_s=wait))
    queued, exact = recorder.snapshot()["queued_s"], sorted(waits)
    for share in (50, 95, 99):
        assert queued[f"p{share}"] == pytest.approx(exact[share * 50 - 1], rel=0.04)
    assert queued["max"] == exact[-1]
    assert queued["mean"] == pytest.approx(sum(waits) / 5000)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_are_in_order(durations: list[float]) -> None:
    """p50 ≤ p95 ≤ p99 ≤ max, for any durations."""
    recorder = Recorder()
    for duration in durations:
        recorder.record(outcome(latency_s=duration))
    latency = recorder.snapshot()["latency_s"]
    assert latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"] == max(durations)


def test_models_without_end_are_bounded() -> None:
    """Beyond 500 series new models count as `(other)`: no call is lost."""
    recorder = Recorder()
    for number in range(700):
        recorder.record(outcome(f"model-{number}"))
    snapshot = recorder.snapshot()
    models = snapshot["providers"]["anthropic"]["models"]
    assert snapshot["calls"] == 700
    assert (len(models), models["(other)"]["calls"]) == (501, 200)


def test_threads_lose_no_call() -> None:
    """Calls recorded from many threads are all counted."""
    recorder = Recorder()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: recorder.record(outcome(f"m{number % 5}")), range(4000)))
    assert recorder.snapshot()["calls"] == 4000


def test_hooks_hear_of_every_call() -> None:
    """Hooks given at the start or added later get each outcome."""
    heard: list[CallOutcome] = []
    recorder = Recorder([heard.append])
    recorder.record(outcome("a"))
    recorder.add_hook(heard.append)
    recorder.record(outcome("b"))
    assert [one.model for one in heard] == ["a", "b", "b"]


def test_a_failing_hook_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged once; the call is counted and the other hooks are called."""
    heard: list[CallOutcome] = []

    def fail(_: CallOutcome) -> None:
        raise RuntimeError("out of order")

    recorder = Recorder([fail, heard.append])
    with caplog.at_level(logging.WARNING, "llm_fleet.telemetry"):
        recorder.record(outcome())
        recorder.record(outcome())
    assert (recorder.snapshot()["calls"], len(heard), len(caplog.records)) == (2, 2, 1)


class FakeInstrument:
    def __init__(self, name: str, written: list[tuple[str, float, dict[str, str]]]) -> None:
        self._name, self._written = name, written

    def record(self, amount: float, attributes: dict[str, str]) -> None:
        self._written.append((self._name, amount, attributes))

    add = record


class FakeMeter:
    def __init__(self) -> None:
        self.written: list[tuple[str, float, dict[str, str]]] = []

    def create_histogram(self, name: str, unit: str, description: str) -> FakeInstrument:
        return FakeInstrument(name, self.written)

    create_counter = create_histogram


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> FakeMeter:
    metrics = pytest.importorskip("opentelemetry.metrics")
    fake = FakeMeter()
    monkeypatch.setattr(metrics, "get_meter", lambda name: fake)
    return fake


def test_open_telemetry_gets_the_usual_names(meter: FakeMeter) -> None:
    """Durations, tokens by type, waits and retries, under the names of the GenAI conventions."""
    Recorder([_hook()]).record(outcome(queued_s=0.5, attempts=2, usage=Usage(100, 10)))
    named = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-5-5",
    }
    assert meter.written == [
        ("gen_ai.client.operation.duration", 1.0, named),
        ("llm_fleet.queue.wait", 0.5, named),
        ("llm_fleet.call.retries", 1, named),
        ("gen_ai.client.token.usage", 100, {**named, "gen_ai.token.type": "input"}),
        ("gen_ai.client.token.usage", 10, {**named, "gen_ai.token.type": "output"}),
    ]


def test_open_telemetry_knows_failures(meter: FakeMeter) -> None:
    """A failed call has `error.type` on its duration, and no token usage."""
    Recorder([_hook()]).record(outcome(error="Throttled"))
    assert [name for name, _, _ in meter.written] == [
        "gen_ai.client.operation.duration",
        "llm_fleet.queue.wait",
    ]
    assert meter.written[0][2]["error.type"] == "Throttled"


def _hook() -> Any:
    hook = open_telemetry_hook()
    assert hook is not None
    return hook


def test_the_real_api_takes_the_hook() -> None:
    """With opentelemetry-api alone, without an SDK, the hook runs and costs nothing."""
    pytest.importorskip("opentelemetry.metrics")
    _hook()(outcome(attempts=2))


def test_without_open_telemetry_there_is_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is missing the answer is None, not an error."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    assert open_telemetry_hook() is None
