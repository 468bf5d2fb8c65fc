"""`llm-fleet config schema`: the schema in the repository is current, and says what the config accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import run_command
from tests.schemas import faults_of

ROOT = Path(__file__).parent.parent
FILE = ROOT / "config" / "llm.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
KEY = "sk-test-not-a-real-key-1"


def config(**fields: Any) -> dict[str, Any]:
    return {"providers": {"anthropic": {"api_keys": [KEY], **fields}}}


def test_the_file_in_the_repository_is_current(capsys):
    """config/llm.schema.json is what the command prints; after a change of the config print it anew."""
    ran = run_command(capsys, "config", "schema")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == SCHEMA


@pytest.mark.parametrize("path", ["config/llm.yaml", "tests/seed.md"])
def test_configs_that_load_fit_the_schema(path):
    """The annotated example, and the seed's own."""
    text = (ROOT / path).read_text()
    text = text.partition("```yaml\n")[2].partition("```")[0] if path.endswith(".md") else text
    assert faults_of(yaml.safe_load(text), SCHEMA) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"rate_limits": [{"requests_per_minute": "${RPM:-50}", "burst_seconds": {"requests": 10}}]},
        {"api_keys": [{"key": KEY, "account": "main"}], "accounts": {"main": {"rate_limits": []}}},
        {"tenants": {"a": {"weight": 2, "rate_limits": [{"tokens_per_day": 9}]}, "b": {}}},
        {"settings": {"timeout": 30, "temperature": 0.7, "call_timeout": None}},
        {"kind": "openai", "charge": {"tokens": "at_start_adjust"}, "trace_headers": True},
    ],
)
def test_what_the_config_accepts_fits(fields):
    """Numbers may be variables; keys may be text or mappings."""
    assert faults_of(config(**fields), SCHEMA) == []


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({}, "providers"),
        (config(rate_limit=[]), "providers.anthropic.rate_limit"),
        (config(rate_limits=[{"requests_per_minute": 0}]), "providers.anthropic.rate_limits.0"),
        (config(rate_limits=[{"requests_per_minute": "many"}]), "providers.anthropic.rate_limits.0"),
        (config(kind="gemini"), "providers.anthropic.kind"),
        (config(api_keys=[]), "providers.anthropic.api_keys"),
        ({**config(), "tenants": {"a": {"weight": 0}}}, "tenants.a.weight"),
        ({**config(), "tenants": {"a": {"rate_limits": [{"models": ["x"]}]}}}, "tenants.a.rate_limits.0"),
        ({**config(), "pool": {"idle_timeout": -1}}, "pool.idle_timeout"),
    ],
)
def test_what_the_config_refuses_does_not_fit(tree, place):
    """An editor marks the same places that `config check` names."""
    assert [fault for fault in faults_of(tree, SCHEMA) if fault.startswith(place)] != []
