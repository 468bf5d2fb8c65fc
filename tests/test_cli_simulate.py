"""`llm-fleet simulate`: providers in the foreground, and the config that uses them."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_fleet.config import FleetConfig, load_config, parse_config
from tests.commands import command_in_background, run_command


@contextmanager
def simulating(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """What it prints once it serves, and the process; interrupted at the end."""
    running = command_in_background("simulate", "--port", "0", *options)
    assert running.stdout
    try:
        yield "".join(iter(running.stdout.readline, "\n")), running
    finally:
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=5)[1] == ""
        assert running.returncode == 0


def books_of(config: FleetConfig) -> dict[str, Any]:
    url = config.providers["anthropic"].base_url
    with urllib.request.urlopen(f"{url}/_books", timeout=5) as answer:
        accounts: dict[str, Any] = json.load(answer)["accounts"]
    return accounts


def test_it_prints_a_config_that_works_and_serves_until_interrupted():
    """A whole config with both protocols; its accounts are the provider's; Ctrl-C ends it quietly."""
    with simulating("--keys", "3", "--rpm", "20") as (text, _):
        config = parse_config(text, env={})
        books = books_of(config)
    accounts = [key.account for provider in config.providers.values() for key in provider.api_keys]
    assert accounts == list(books) == [f"{kind}-{n}" for kind in ("anthropic", "openai") for n in (1, 2, 3)]
    assert config.warnings() == []
    limits = {row["requests"]["limit"] for row in (account["limits"] for account in books.values())}
    assert limits == {20}


def test_it_writes_the_config_to_a_new_file(tmp_path):
    """--write: what is printed, and how to name it; a private Redis unless REDIS_URL names one."""
    path = tmp_path / "llm.yaml"
    with simulating("--write", str(path)) as (text, _):
        assert f"export LLM_CONFIG_PATH={path}" in text
        assert yaml.safe_load(text) == yaml.safe_load(path.read_text())
    url = load_config(path, env={}).redis.url
    assert url is not None
    assert url.get_secret_value() == "embedded"


def test_a_file_that_is_there_is_not_overwritten(capsys, tmp_path):
    """It may be somebody's config: exit code 2, and the file stays."""
    path = tmp_path / "llm.yaml"
    path.write_text("mine")
    ran = run_command(capsys, "simulate", "--port", "0", "--write", str(path))
    assert (ran.code, ran.out, path.read_text()) == (2, "", "mine")
    assert f"{path} is there already" in " ".join(ran.err.split())


def test_a_file_that_cannot_be_written_ends_with_78(capsys, tmp_path):
    """No provider is left running without it."""
    ran = run_command(capsys, "simulate", "--port", "0", "--write", str(tmp_path / "nowhere" / "llm.yaml"))
    assert ran.code == 78
    assert "cannot be written" in ran.err


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("both", {"anthropic": ["a"], "openai": ["o"]}), ("openai", {"openai": ["a", "o"]})],
)
def test_accounts_of_an_own_file_stand_under_their_protocol(tmp_path: Path, kind, expected):
    """By the file's `kind`; where it is both, limits on tokens together are OpenAI's."""
    own = tmp_path / "simulator.yaml"
    keys = ["sk-test-not-a-real-key-1", "sk-test-not-a-real-key-2"]
    accounts = {"a": {"keys": keys[:1]}, "o": {"keys": keys[1:], "tokens_per_minute": 9000}}
    own.write_text(yaml.safe_dump({"kind": kind, "accounts": accounts}))
    with simulating("--config", str(own)) as (text, _):
        providers = parse_config(text, env={}).providers
    found = {name: [key.account for key in provider.api_keys] for name, provider in providers.items()}
    assert found == expected
