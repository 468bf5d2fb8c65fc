"""`llm-fleet config apply`: a file's limits come into force for the whole fleet, at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from llm_fleet.middleware.rate_limiter import RateLimitConfig
from tests.commands import run_command, run_command_beside
from tests.managers import HELLO, KEYS, config_text, entry, manager_of, provider, settled

ACCOUNT = [{"key": KEYS[0], "account": "main"}]


@pytest.fixture
def write(tmp_path: Path, redis_url: str, namespace: str) -> Any:
    """Writes a config whose account `main` may send so many requests a minute, and hold so many; its path."""

    def one(per_minute: int, slots: int = 9, version: int | None = None) -> str:
        limits, url = (
            {"requests_per_minute": per_minute, "max_concurrent_requests": slots},
            "http://127.0.0.1:1",
        )
        tree = json.loads(
            config_text(redis_url, namespace, anthropic=entry(url, limits=limits, api_keys=ACCOUNT))
        )
        path = tmp_path / "llm.yaml"
        path.write_text(json.dumps({**tree, **({"config_version": version} if version else {})}))
        return str(path)

    return one


async def test_running_processes_go_by_the_new_limits_at_once(simulator, capsys, write, redis_url, namespace):
    """A fleet that could hold one call holds five after the limit was raised, and nobody was restarted."""
    sim = simulator(provider(latency_s=0.3))
    limits = {"requests_per_minute": 600, "max_concurrent_requests": 1}
    fields = entry(sim.url, limits=limits, api_keys=ACCOUNT)
    async with manager_of(redis_url, namespace, anthropic=fields) as manager:
        client = manager.get_client()
        await asyncio.gather(client.complete(HELLO), client.complete(HELLO))
        assert sim.books()["accounts"]["account-0"]["peak_concurrency"] == 1
        ran = await run_command_beside(capsys, "config", "apply", write(600, slots=5))
        assert (ran.code, ran.out.splitlines()[0]) == (0, "anthropic: applied to main")
        await asyncio.gather(*(client.complete(HELLO) for _ in range(12)))
    assert sim.books()["accounts"]["account-0"]["peak_concurrency"] == 5


async def test_it_wins_over_limits_from_code_and_over_newer_versions(
    simulator, capsys, write, redis_url, namespace
):
    """Whatever was before, by whatever version, is replaced; `source` says file again."""
    sim = simulator(provider())
    async with manager_of(redis_url, namespace, anthropic=entry(sim.url, api_keys=ACCOUNT)) as manager:
        await run_command_beside(capsys, "config", "apply", write(50, version=7))
        await manager.get_or_create_client(rate_limit_config=RateLimitConfig(requests_per_minute=20))
        await manager.get_client().complete(HELLO)
        await run_command_beside(capsys, "config", "apply", write(40, version=3))
        domain = (await settled(manager))["domains"]["main"]
    assert (domain["source"], domain["version"], domain["lanes"]["*"][0]["limit"]) == ("file", 3, 40)


async def test_it_takes_part_in_nothing(capsys, write, redis_url, namespace):
    """It leaves no process in the pool; a second time there is nothing to do; --json says so."""
    path = write(50)
    await run_command_beside(capsys, "config", "apply", path)
    ran = await run_command_beside(capsys, "config", "apply", path, "--json")
    assert json.loads(ran.out) == {"anthropic": {"domains": {"main": "same"}, "order": "same", "drift": []}}
    where = ("--redis", redis_url, "--namespace", namespace)
    status = json.loads((await run_command_beside(capsys, "status", "--json", *where)).out)
    assert status["pools"]["anthropic"]["processes"] == {}


async def test_it_names_processes_with_other_limits(simulator, capsys, write, redis_url, namespace):
    """A process that was started with another file is told of: it goes by the limits in force."""
    sim = simulator(provider())
    fields = entry(sim.url, limits={"requests_per_minute": 60}, api_keys=ACCOUNT)
    async with manager_of(redis_url, namespace, anthropic=fields) as manager:
        await manager.get_client().complete(HELLO)
        ran = await run_command_beside(capsys, "config", "apply", write(50))
    assert "config drift: 1 of 1 processes" in ran.out
    assert "they go by the limits in force all the same" in ran.out


def test_a_provider_that_is_not_there_is_wrong_usage(capsys, write):
    """Exit code 2, and the names that there are; nothing is applied."""
    ran = run_command(capsys, "config", "apply", write(50), "--provider", "opneai")
    assert ran.code == 2
    assert "it has anthropic" in ran.err


def test_without_a_config_it_applies_nothing(capsys, monkeypatch, tmp_path, redis_url):
    """REDIS_URL alone is not enough: exit code 78 and the path that is missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_CONFIG_PATH", raising=False)
    monkeypatch.setenv("REDIS_URL", redis_url)
    ran = run_command(capsys, "config", "apply")
    assert (ran.code, ran.out) == (78, "")
    assert "config/llm.yaml: no such file" in ran.err


def test_weights_alone_are_applied_and_told(capsys, write):
    """Limits that are in force already stay; the new order of tenants is said, and once."""
    path = Path(write(50))
    assert run_command(capsys, "config", "apply", str(path)).out == "anthropic: applied to main\n"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({**tree, "tenants": {"shop": {"weight": 2}}}))
    told = "anthropic: weights and aging time applied, in force already for main\n"
    assert run_command(capsys, "config", "apply", str(path)).out == told
    assert run_command(capsys, "config", "apply", str(path)).out == "anthropic: in force already\n"
    found = json.loads(run_command(capsys, "config", "apply", str(path), "--json").out)
    assert found["anthropic"] == {"domains": {"main": "same"}, "order": "same", "drift": []}
