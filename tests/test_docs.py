"""The pages of docs/: their programs run, their configs load, their commands and messages are there."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.fields import FieldInfo

from examples.asgi_app import app
from llm_fleet.config import (
    ApiKey,
    GlobalConfig,
    PoolConfig,
    ProviderConfig,
    RateLimitConfig,
    RedisConfig,
    SettingsConfig,
    TenantConfig,
    effective_table,
    parse_config,
)
from llm_fleet.contrib.asgi import lifespan
from llm_fleet.engine.force import force_limits
from llm_fleet.engine.keys import PoolKeys
from llm_fleet.engine.values import DomainLimits, LaneLimits, PoolLimits
from llm_fleet.simulator import RunningSimulator, run_simulator
from llm_fleet.store import Store, StoreOptions
from llm_fleet.sync import close_all
from tests.commands import run_command
from tests.managers import KEYS, config_text, entry, provider
from tests.markdown import Block, blocks_of
from tests.schemas import faults_of

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
ALL = [block for page in PAGES for block in blocks_of(page)]
PROGRAMS = [block for block in ALL if block.language == "python"]
CONFIGS = [block for block in ALL if block.language == "yaml" and "apiVersion" not in block.text]
MANIFESTS = [block for block in ALL if block.language == "yaml" and "apiVersion" in block.text]
LINES = [
    pytest.param(line, id=f"{block.place} {line}")
    for block in ALL
    if block.language == "sh"
    for line in block.text.splitlines()
]
LASTING = {"demo", "interactive", "simulate", "--watch"}
KNOWN_KEY = "4fd2a1b2c300"
NO_DEFAULT = "\N{EN DASH}"
SOURCES = sorted((ROOT / "llm_fleet").rglob("*.py"))


def named(block: Block) -> str:
    return block.place


@pytest.fixture(scope="module")
def sim() -> Iterator[RunningSimulator]:
    """One simulated provider for all pages."""
    with run_simulator(provider(2)) as running:
        yield running


@pytest.fixture
def environment(sim, tmp_path, monkeypatch, redis_url) -> RunningSimulator:
    """LLM_CONFIG_PATH and the SDKs' own variables name the simulated provider; its handle, with empty books."""
    sim.reset()
    path = tmp_path / "llm.yaml"
    anthropic, openai = entry(sim.url, 1), entry(sim.url, 2, kind="openai")
    path.write_text(
        config_text(redis_url, "llm_fleet", anthropic=anthropic, openai={**openai, "api_keys": KEYS[1:2]})
    )
    variables = {"REDIS_URL": redis_url, "ANTHROPIC_BASE_URL": sim.url, "ANTHROPIC_API_KEY": KEYS[0]}
    for name, text in {"LLM_CONFIG_PATH": str(path), **variables}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("LLM_LOG_LEVEL", raising=False)
    monkeypatch.chdir(ROOT)
    return sim


@pytest.mark.parametrize("block", PROGRAMS, ids=named)
def test_programs_run(block, environment, capsys):
    """Each is a whole program; where it prints an answer it has got one, and no request failed."""
    try:
        exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
    finally:
        close_all()
    assert {request["status"] for request in environment.books()["requests"]} <= {200}
    if "print(" in block.text:
        assert len(capsys.readouterr().out.split()) >= 1


@pytest.mark.parametrize("block", CONFIGS, ids=named)
def test_configs_load(block, redis_url):
    """With every variable set: no error, no warning but for keys without account, and the schema fits."""
    config = parse_config(block.text, source=block.place, env=variables_of(block.text, redis_url))
    assert effective_table(config)
    assert [warning for warning in config.warnings() if "have no account" not in warning] == []
    schema = json.loads((ROOT / "config" / "llm.schema.json").read_text())
    assert faults_of(yaml.safe_load(block.text), schema) == []


def variables_of(text: str, redis_url: str) -> dict[str, str]:
    """A value for each ${NAME}: a made-up key of its own."""
    names = sorted(set(re.findall(r"\$\{(\w+)", text)))
    keys = {name: f"sk-test-not-a-real-key-{number}" for number, name in enumerate(names)}
    return {**keys, "REDIS_URL": redis_url}


def test_the_twelve_keys_are_three_accounts():
    """The first example has what its title says, and one account's limit differs."""
    text = next(block.text for block in CONFIGS if "RESEARCH_KEY" in block.text)
    config = parse_config(text, env=variables_of(text, "redis://h"))
    rows = [row for row in effective_table(config) if row.limit and row.limit.name == "requests_per_minute"]
    assert len({row.key_id for row in rows}) == 12
    assert {(row.account, row.lane): row.limit.amount for row in rows} == {
        (account, lane): 4000 if (account, lane) == ("research", "claude-sonnet-*") else 1000
        for account in ("shop", "support", "research")
        for lane in ("claude-sonnet-*", "claude-haiku-*")
    }


@pytest.fixture
def known_key(redis_url) -> None:
    """The fleet knows the key id that the pages pause."""

    async def register() -> None:
        pool = PoolLimits("anthropic", ((KNOWN_KEY, ("d",)),), (DomainLimits("d", (LaneLimits("*"),)),))
        store = Store(StoreOptions(redis_url))
        await force_limits(store, PoolKeys("llm_fleet", "anthropic"), pool)
        await store.close()

    asyncio.run(register())


@pytest.mark.parametrize("line", LINES)
def test_commands_are_there(line, environment, known_key, capsys):
    """Ours run, those that last with --help; of servers' and ./dev's the arguments exist."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "llm-fleet":
        run_documented(capsys, arguments)
    elif program == "./dev":
        assert f"    {arguments[0]}" in (ROOT / "dev").read_text()
    else:
        assert program in ("gunicorn", "uvicorn")
        (module,) = re.findall(r"\bexamples\.(\w+):app", line)
        assert (ROOT / "examples" / f"{module}.py").is_file()


def run_documented(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    if LASTING & set(arguments):
        shown = run_command(capsys, *arguments[:1], "--help").out
        assert [word for word in arguments if word.startswith("--") and word not in shown] == []
        return
    ran = run_command(capsys, *arguments)
    assert ran.code in (0, 1), ran.err
    assert (ran.err, bool(ran.out)) == ("", True)


@pytest.mark.parametrize("block", MANIFESTS, ids=named)
def test_manifests_are_whole(block, redis_url):
    """They parse; the config in them loads; probes and paths are those that there are."""
    (manifest,) = yaml.safe_load_all(block.text)
    if manifest["kind"] == "ConfigMap":
        text = manifest["data"]["llm.yaml"]
        assert parse_config(text, env=variables_of(text, redis_url)).warnings() == []
        return
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    assert container["env"] == [{"name": "LLM_CONFIG_PATH", "value": f"{mount['mountPath']}/llm.yaml"}]
    probes = [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert probes == ["/health/live", "/health/ready"]
    assert "examples.asgi_app:app" in container["command"]
    assert pod["terminationGracePeriodSeconds"] > 120


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_probes_of_the_manifest_are_answered(path, environment):
    """By the application that the manifest starts; readiness once Redis has answered."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "root_path": ""}

    async def ask() -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        await app(dict(scope), receive, send)
        return int(sent[0]["status"])

    async with lifespan(), asyncio.timeout(10):
        while await ask() != 200:
            await asyncio.sleep(0.02)


SECTIONS = {
    "global": GlobalConfig,
    "redis": RedisConfig,
    "pool": PoolConfig,
    "providers.NAME": ProviderConfig,
    "api_keys": ApiKey,
    "rate_limits": RateLimitConfig,
    "settings": SettingsConfig,
    "tenants": TenantConfig,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_described_with_its_default(section):
    """docs/configuration.md has a row for each field and for no other, with the default in force."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    (part,) = re.findall(rf"^##+ {re.escape(section)}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", part, re.MULTILINE))
    fields = SECTIONS[section].model_fields
    defaults = {name: default_of(field) for name, field in fields.items() if name != "name"}
    if section == "providers.NAME":
        defaults |= {"kind": None, "settings": {}}  # by its name, and below
    assert {name: told_default(cell) for name, cell in rows.items()} == defaults


def default_of(field: FieldInfo) -> Any:
    return "required" if field.is_required() else field.get_default(call_default_factory=True)


def told_default(cell: str) -> Any:
    return None if cell == NO_DEFAULT else yaml.safe_load(cell.strip("`"))


def test_messages_that_are_quoted_are_said():
    """The first column of troubleshooting's tables: each part between `…` stands in the package's source."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    quoted = [cell for cell in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE) if " " in cell]
    source = "".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in SOURCES)
    assert len(quoted) > 15
    parts = [(cell, part.strip(" :,")) for cell in quoted for part in cell.split("…")]
    assert [(cell, part) for cell, part in parts if part not in source] == []


def test_links_and_files_are_there():
    """Links lead to pages and headings, and files that are named exist."""
    for page in PAGES:
        text = page.read_text()
        for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
            other = page.parent / target if target else page
            assert other.is_file(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert not anchor or anchor in anchors, f"{page.name}: #{anchor}"
        files = re.findall(r"\b((?:tests|examples|config|benchmarks|docs)/[\w/]+(?:\.\w+)+)", text)
        assert [file for file in files if not (ROOT / file).is_file()] == [], page.name
