"""`llm-fleet config check`: the effective table, its sources, its warnings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_fleet.models import key_id
from tests.commands import run_command

KEYS = ["sk-test-not-a-real-key-1", "sk-test-not-a-real-key-2"]
CONFIG = f"""
redis: {{url: "redis://user:not-a-real-password@redis.example:6379/2", namespace: shop}}
providers:
  anthropic:
    models: [claude-sonnet, claude-opus-4]
    api_keys: [{{key: {KEYS[0]}, account: a}}, {{key: {KEYS[1]}, account: b}}]
    accounts: {{a: {{}}, b: {{rate_limits: [{{requests_per_minute: 500}}]}}}}
    rate_limits:
      - {{requests_per_minute: 120, max_concurrent_requests: 10, burst_seconds: 10}}
      - {{models: [claude-opus*], output_tokens_per_minute: 8000, enforced_as: window}}
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "llm.yaml"
    file.write_text(CONFIG)
    return str(file)


def test_every_key_is_shown_with_its_limits_and_their_sources(capsys, path):
    """Key id, account, lane, limit, burst, source; an account's own limit replaces the general one."""
    ran = run_command(capsys, "config", "check", path)
    assert ran.code == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert f"{key_id(KEYS[0])} account a" in lines
    assert "* requests_per_minute 120 10 s rate_limits[0]" in lines
    assert "claude-opus* output_tokens_per_minute 8,000 6 s of 60 s rate_limits[1]" in lines
    assert "* max_concurrent_requests 10 rate_limits[0]" in lines
    own = lines[lines.index(f"{key_id(KEYS[1])} account b") :]
    assert "* requests_per_minute 500 60 s accounts.b.rate_limits[0]" in own


def test_no_secret_is_shown(capsys, path):
    """Neither a key nor Redis' password, in text or JSON."""
    shown = run_command(capsys, "config", "check", path).out
    shown += run_command(capsys, "config", "check", path, "--json").out
    assert "redis://redis.example:6379/2, namespace shop" in shown
    assert [secret for secret in (*KEYS, "not-a-real-password") if secret in shown] == []


def test_json_holds_the_same_table(capsys, path):
    """One object per key and limit, with numbers as numbers."""
    found = json.loads(run_command(capsys, "config", "check", "--config", path, "--json").out)
    first = found["limits"][0]
    assert (first["key_id"], first["account"], first["lane"]) == (key_id(KEYS[0]), "a", "*")
    assert (first["limit"]["name"], first["limit"]["amount"], first["limit"]["burst_s"]) == (
        "requests_per_minute",
        120,
        10.0,
    )
    assert found["warnings"] == []


def test_names_are_shown_as_they_are(capsys, tmp_path):
    """Patterns with brackets and names with colons are no markup, in no table and no sentence."""
    file = tmp_path / "llm.yaml"
    file.write_text(
        f"providers: {{openai: {{api_keys: [{{key: {KEYS[0]}, account: ':key:'}}], models: [x],"
        " rate_limits: [{models: ['gpt-[a-c]*'], requests_per_minute: 5}]}}"
    )
    ran = run_command(capsys, "config", "check", str(file))
    assert ("account :key:" in ran.out, ran.out.count("gpt-[a-c]*")) == (True, 2)


TENANTS = """
tenants: {shop: {weight: 2.5, rate_limits: [{requests_per_minute: 30, max_concurrent_requests: 4}]}, own: {}}
"""


def test_tenants_are_shown_with_weight_limits_and_sources(capsys, path):
    """In a table under each provider; in JSON a list of their own, limits as elsewhere."""
    file = Path(path)
    file.write_text(CONFIG.replace("    models:", "    tenants: {own: {weight: 3}}\n    models:") + TENANTS)
    ran = run_command(capsys, "config", "check", path)
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[lines.index("tenants") :][1:5] == [
        "tenant weight limit burst source",
        "own 3 none providers.anthropic.tenants.own",
        "shop 2.5 requests_per_minute 30 60 s tenants.shop.rate_limits[0]",
        "max_concurrent_requests 4 tenants.shop.rate_limits[0]",
    ]
    own, shop = json.loads(run_command(capsys, "config", "check", path, "--json").out)["tenants"]
    assert own == {
        "provider": "anthropic",
        "tenant": "own",
        "weight": 3.0,
        "limits": [],
        "source": "providers.anthropic.tenants.own",
    }
    named = [(limit["name"], limit["amount"]) for limit in shop["limits"]]
    assert named == [("requests_per_minute", 30), ("max_concurrent_requests", 4)]


def test_doubts_are_told_and_do_not_fail(capsys, tmp_path, monkeypatch):
    """A placeholder key, no limits and no Redis: exit code 0, with a warning each and a way out."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    file = tmp_path / "llm.yaml"
    file.write_text("providers: {openai: {api_keys: [your-api-key]}}")
    ran = run_command(capsys, "config", "check", str(file))
    assert ran.code == 0
    words = ["placeholder", "no limit at all", "nowhere: write redis.url, or set REDIS_URL"]
    assert [word for word in words if word not in ran.out] == []
