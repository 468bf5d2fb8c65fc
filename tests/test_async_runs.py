"""asyncio.run per task, as in a Celery worker: loops come and go, the process stays as it is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import redis

from tests.managers import config_text, entry, provider


@pytest.mark.parametrize(
    ("warm", "more"), [(20, 100), pytest.param(100, 1000, marks=pytest.mark.slow)], ids=["100", "1000"]
)
def test_a_loop_per_call_leaves_nothing_behind(simulator, redis_url, namespace, tmp_path, warm, more):
    """File descriptors, threads, Redis connections and memory after N more runs are those of before."""
    sim = simulator(provider(latency_s=0))
    path = tmp_path / "llm.yaml"
    limits = {"requests_per_minute": 60_000}
    path.write_text(config_text(redis_url, namespace, p=entry(sim.url, kind="openai", limits=limits)))
    command = [sys.executable, "-m", "tests.async_runs", str(warm), str(more)]
    env = {**os.environ, "LLM_CONFIG_PATH": str(path)}
    with redis.Redis.from_url(redis_url) as client:
        connected = client.info("stats")["total_connections_received"]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert ran.stderr == ""
        assert client.info("stats")["total_connections_received"] - connected <= 3
    before, after = [[int(part) for part in line.split()] for line in ran.stdout.splitlines()]
    print(f"file descriptors, threads, kB: {before} after {warm} runs, {after} after {more} more")
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 2_000
    assert sim.books()["accounts"]["account-0"]["accepted"] == warm + more
