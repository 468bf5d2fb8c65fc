"""The document that this library began with (seed.md): what it shows runs, word for word."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_fleet import ConfigError, PoolExhausted, QueueTimeout, get_llm_manager
from llm_fleet.config import load_config, parse_config
from llm_fleet.manager import LLMManager
from tests.managers import HELLO
from tests.markdown import blocks_of

SEED = Path(__file__).parent / "seed.md"
PYTHON = [block.text for block in blocks_of(SEED, "python")]
BASIC, STREAM, SESSION, LIMITS, MONITOR = PYTHON[:5]
FRAGMENTS = {"limits": PYTHON[5], "pool": PYTHON[6]}
LOGGING = PYTHON[8]
(CONFIG,) = (block.text for block in blocks_of(SEED, "yaml"))
KEYS = ["your-api-key-1", "your-api-key-2"]
WORDS = 20

pytestmark = pytest.mark.filterwarnings("ignore:The model 'claude-3-5-haiku-20241022':DeprecationWarning")


@pytest.fixture
def sim(simulator) -> Any:
    """A provider that knows the seed's keys and enforces the seed's limits."""
    limits = yaml.safe_load(CONFIG)["providers"]["anthropic"]["rate_limits"][0]
    accounts = {f"account-{i}": {"keys": [key], **limits} for i, key in enumerate(KEYS)}
    return simulator({"latency_s": 0.02, "output_tokens": 20, "accounts": accounts})


@pytest.fixture
def as_documented(sim, tmp_path, monkeypatch, redis_url) -> Any:
    """The seed's config file, named by LLM_CONFIG_PATH; the environment says where Redis and provider are."""
    path = tmp_path / "llm.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("LLM_CONFIG_PATH", str(path))
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", sim.url)
    return sim


def ours(block: str) -> str:
    """The block with our name for the module."""
    return block.replace("from llm import", "from llm_fleet import").replace("from llm.", "from llm_fleet.")


def imports_of_the_first() -> str:
    return ours(BASIC).partition("\n")[0]


def run_block(block: str) -> None:
    """Run the one function that a block defines; close the manager that it leaves open."""
    names: dict[str, Any] = {}
    exec(compile(f"{imports_of_the_first()}\n{ours(block)}", SEED.name, "exec"), names)
    (function,) = (value for value in names.values() if getattr(value, "__globals__", None) is names)

    async def run() -> None:
        await function()
        await (await get_llm_manager()).close()

    asyncio.run(run())


def test_its_basic_block_runs_as_a_program(as_documented, capsys):
    """Block 1: imports, main() and asyncio.run(main()); it prints the answer."""
    exec(compile(ours(BASIC), SEED.name, "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.split()) == WORDS
    assert as_documented.books()["accounts"]["account-0"]["rejected"] == 0


def test_its_streaming_block_runs(as_documented, capsys):
    """Block 2: the text comes in pieces, and is whole."""
    run_block(STREAM)
    assert len(capsys.readouterr().out.split()) == WORDS
    assert [request["stream"] for request in as_documented.books()["requests"]] == [True]


def test_its_session_block_runs(as_documented, capsys):
    """Block 3: the second call carries the first turn and its answer."""
    run_block(SESSION)
    first, second = as_documented.books()["requests"]
    assert second["input_tokens"] > first["input_tokens"]
    assert len(capsys.readouterr().out.split()) == WORDS


def test_its_custom_limits_block_runs(as_documented):
    """Block 4: RateLimitConfig as imported there replaces the limits, and the call goes through."""
    run_block(LIMITS)
    assert [request["status"] for request in as_documented.books()["requests"]] == [200]


def test_its_monitoring_block_runs(as_documented, capsys):
    """Block 5: the counts, and one entry for each of the two keys."""
    run_block(MONITOR)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["Total clients: 0", "Available: 0", "In use: 0"]
    assert [line for line in lines if line.startswith("Client ")] != []
    assert lines.count("  Available: True") == lines.count("  Error count: 0") == 2


def test_its_logging_block_shows_what_happens(as_documented, caplog, monkeypatch):
    """With `llm` written `llm_fleet` both loggers are set to DEBUG, and a call is seen from start to end."""
    monkeypatch.setenv("LLM_LOG_LEVEL", "DEBUG")
    before = {name: logging.getLogger(name).level for name in ("llm_fleet", "llm_fleet.middleware")}
    exec(LOGGING.replace('"llm', '"llm_fleet'), {})
    assert {logging.getLogger(name).level for name in before} == {logging.DEBUG}
    run_block(STREAM)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    events = [getattr(record, "event", "") for record in caplog.records]
    assert [event for event in events if event.startswith("llm_fleet.call")] == [
        "llm_fleet.call.started",
        "llm_fleet.call.finished",
    ]


def test_its_yaml_loads_as_it_stands():
    """Every field means here what it says there."""
    config = parse_config(CONFIG, env={})
    provider = config.providers["anthropic"]
    assert (config.default_provider, provider.default_model) == ("anthropic", "claude-3-5-haiku-20241022")
    assert [key.key.get_secret_value() for key in provider.api_keys] == KEYS
    (entry,) = provider.rate_limits
    amounts = (entry.requests_per_minute, entry.input_tokens_per_minute, entry.output_tokens_per_minute)
    assert amounts == (12, 5000, 2000)
    assert (provider.settings.timeout, provider.settings.max_retries) == (30, 3)
    assert (config.pool.max_size, config.pool.acquire_timeout) == (4, 30)


def test_its_fragments_merge_into_its_yaml():
    """The remedies of its troubleshooting are valid where they belong."""
    tree = yaml.safe_load(CONFIG)
    tree["providers"]["anthropic"] |= yaml.safe_load(FRAGMENTS["limits"])
    tree["pool"] |= yaml.safe_load(FRAGMENTS["pool"])["pool"]
    config = parse_config(yaml.safe_dump(tree), env={})
    assert config.providers["anthropic"].rate_limits[0].requests_per_minute == 20
    assert (config.pool.max_size, config.pool.acquire_timeout) == (8, 60)


def test_its_environment_variables_win(tmp_path):
    """LLM_LOG_LEVEL wins over the file's log_level; LLM_CONFIG_PATH names the file."""
    assert parse_config(CONFIG, env={"LLM_LOG_LEVEL": "DEBUG"}).global_.log_level == "DEBUG"
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        load_config(env={"LLM_CONFIG_PATH": str(tmp_path / "nowhere.yaml")})


def changed(**sections: Any) -> str:
    """The seed's YAML with other fields in `settings` or `pool`, and one of the anthropic entry."""
    tree = yaml.safe_load(CONFIG)
    anthropic = tree["providers"]["anthropic"]
    anthropic["settings"] |= sections.get("settings", {})
    anthropic["rate_limits"] = sections.get("rate_limits", anthropic["rate_limits"])
    tree["pool"] |= sections.get("pool", {})
    return yaml.safe_dump(tree)


async def test_rate_limit_exceeded_says_what_to_do(as_documented):
    """Its message "Rate limit exceeded": with what binds, and the remedy it gives: limits or keys."""
    config = changed(settings={"queue_timeout": 0.05}, rate_limits=[{"requests_per_minute": 1}])
    manager = LLMManager(parse_config(config))
    calls = [manager.get_client().complete(HELLO, max_tokens=50) for _ in range(4)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    await manager.close()
    message = " ".join(str(error) for error in found if isinstance(error, QueueTimeout))
    words = ["Rate limit exceeded", "requests_per_minute", "rate_limits", "add API keys"]
    assert [word for word in words if word not in message] == []


async def test_could_not_acquire_client_says_what_to_do(as_documented):
    """Its message "Could not acquire client within timeout": raise pool.max_size or pool.acquire_timeout."""
    as_documented.set_faults([{"kind": "latency", "seconds": 0.6}])
    manager = LLMManager(parse_config(changed(pool={"max_size": 1, "acquire_timeout": 0.1})))
    calls = [manager.get_client().complete(HELLO, max_tokens=50) for _ in range(2)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    await manager.close()
    (message,) = [str(error) for error in found if isinstance(error, PoolExhausted)]
    words = ["Could not acquire client within timeout", "pool.max_size", "pool.acquire_timeout"]
    assert [word for word in words if word not in message] == []


async def test_inaccurate_token_counts_do_not_stay(as_documented):
    """Its third trouble: an estimate that is off is corrected by the provider's own count after the call."""
    manager = LLMManager(parse_config(CONFIG))
    response = await manager.get_client().complete(HELLO, max_tokens=50)
    await asyncio.sleep(0.15)
    (pool,) = (await manager.fleet_status()).values()
    await manager.close()
    buckets = pool["domains"][response.key_id]["lanes"]["*"]
    missing = {bucket["resource"]: bucket["capacity"] - bucket["level"] for bucket in buckets}
    assert missing["input_tokens_per_minute"] <= response.usage.input_tokens
    assert missing["output_tokens_per_minute"] <= response.usage.output_tokens
