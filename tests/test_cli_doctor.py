"""`llm-fleet doctor`: what it finds on real servers, each with its remedy, and that it changes nothing."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import redis

from llm_fleet.cli.fleet import server_checks
from llm_fleet.cli.fleet.pool_checks import pool_findings
from llm_fleet.cli.fleet.rights import PROBES
from llm_fleet.cli.fleet.server_checks import Reading, judge_clock, memory_findings, version_finding
from tests.commands import run_command, run_command_beside
from tests.fleets import fleet, lease_of, limits, requests
from tests.managers import KEYS, config_text

ROOT = Path(__file__).parent.parent
ACCOUNT = [{"key": KEYS[0], "account": "main"}]
ENTRY = {"kind": "anthropic", "api_keys": ACCOUNT, "rate_limits": [{"requests_per_minute": 50}]}


@pytest.fixture
def examine(capsys, redis_url, namespace) -> Any:
    """Runs `doctor --json` on the test's namespace: exit code, and findings by what they are about."""

    async def run(url: str = redis_url, *options: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
        where = options or ("--redis", url, "--namespace", namespace)
        ran = await run_command_beside(capsys, "doctor", "--json", *where)
        found: dict[str, list[dict[str, str]]] = {}
        for finding in json.loads(ran.out):
            found.setdefault(finding.pop("about"), []).append(finding)
        return ran.code, found

    return run


async def test_a_sound_server_is_told_as_such(examine):
    """Version, latency, clock, memory, rights and scripts: one `ok` each, exit code 0."""
    code, found = await examine()
    parts = ("server", "latency", "clock", "memory", "rights", "scripts")
    assert (code, [found[part][0]["grade"] for part in parts]) == (0, ["ok"] * len(parts))
    assert found["pool"][0]["text"].startswith("no pool in namespace")


async def test_it_leaves_no_key_behind_and_joins_no_pool(examine, redis_url, namespace):
    """Before and after it the server holds the same keys with the same values."""
    async with fleet(redis_url, namespace, limits(requests(60))) as member:
        (await lease_of(member)).cancel()
        await asyncio.sleep(0.1)
        with redis.Redis.from_url(redis_url) as client:
            before = {key: client.dump(key) for key in client.keys("*")}
            await examine()
            assert {key: client.dump(key) for key in client.keys("*")} == before


@pytest.mark.parametrize("options", [("--json",), ()])
def test_a_redis_that_is_away_ends_with_69(capsys, tmp_path, options):
    """The config's findings come first, then the message; nothing on stdout with --json."""
    path = tmp_path / "llm.yaml"
    path.write_text(config_text("redis://127.0.0.1:1/0", "n", anthropic={**ENTRY, "rate_limits": []}))
    ran = run_command(capsys, "doctor", "--config", str(path), *options)
    assert (ran.code, "no limit at all" in ran.out) == (69, not options)
    assert "nobody listens there" in ran.err


async def test_missing_rights_are_named_with_the_grant(examine, own_server, namespace):
    """A user without some commands, or without the namespace's keys: exit code 1, and what to run."""
    server, mine = own_server(), f"~{{{namespace}:*"
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", mine, "+@all", "-zadd", "-eval")
        client.execute_command("ACL", "SETUSER", "guest", "on", ">pw", "~other:*", "+@all")
    address = f"127.0.0.1:{server.port}/0"
    code, found = await examine(f"redis://app:pw@{address}")
    (finding,) = found["rights"]
    assert (code, finding["text"]) == (1, "user app may not run zadd, eval")
    assert finding["remedy"] == "`ACL SETUSER app +zadd +eval`"
    code, found = await examine(f"redis://guest:pw@{address}")
    (finding,) = found["rights"]
    assert (code, finding["grade"]) == (1, "problem")
    assert f"`ACL SETUSER guest '~{{{namespace}:*'`" in finding["remedy"]


async def test_an_evicting_server_is_a_problem(examine, own_server):
    """With a maxmemory and any policy but noeviction."""
    server = own_server()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 100_000_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
    code, found = await examine(server.url)
    (finding,) = found["memory"]
    assert (code, finding["grade"]) == (1, "problem")
    assert "CONFIG SET maxmemory-policy noeviction" in finding["remedy"]


async def test_a_lua_that_lacks_what_the_scripts_use_is_a_problem(examine, monkeypatch):
    """Servers that only speak like Redis may lack a library: what is missing is named, and what to do."""
    assert "struct.pack" in server_checks.DIALECT
    monkeypatch.setattr(server_checks, "DIALECT", server_checks.DIALECT.replace("struct", "structs"))
    code, found = await examine()
    (finding,) = found["scripts"]
    assert (code, finding["grade"]) == (1, "problem")
    assert "structs" in finding["text"]
    assert "Valkey" in finding["remedy"]


def test_every_command_of_the_scripts_is_probed():
    """The rights that are tried (PROBES of cli/fleet/rights.py) are those that `lua/` and the store use."""
    sources = [path.read_text() for path in (ROOT / "lua").rglob("*.lua")]
    used = {name for source in sources for name in re.findall(r'redis\.p?call\("([A-Z]+)"', source)}
    assert used | {"BLPOP", "EVAL", "EVALSHA"} <= {probe[0] for probe in PROBES}


def write_config(tmp_path: Path, url: str, namespace: str, **changes: Any) -> str:
    path = tmp_path / "llm.yaml"
    path.write_text(config_text(url, namespace, anthropic={**ENTRY, **changes}))
    return str(path)


async def test_limits_in_force_other_than_the_files_are_a_problem(
    examine, capsys, tmp_path, redis_url, namespace
):
    """Config drift: the file was changed after it had been registered; `config apply` mends it."""
    path = write_config(tmp_path, redis_url, namespace)
    await run_command_beside(capsys, "config", "apply", path)
    assert (await examine(redis_url, "--config", path))[0] == 0
    path = write_config(tmp_path, redis_url, namespace, rate_limits=[{"requests_per_minute": 70}])
    code, found = await examine(redis_url, "--config", path)
    drift = found["config"][-1]
    assert (code, drift["grade"]) == (1, "problem")
    assert "the limits in force for main are not those of this config (from file)" in drift["text"]
    await run_command_beside(capsys, "config", "apply", path)
    assert (await examine(redis_url, "--config", path))[0] == 0


@pytest.mark.parametrize("other", [{"tenants": {"shop": {"weight": 3}}}, {"settings": {"aging_seconds": 5}}])
async def test_an_order_in_force_other_than_the_files_is_a_problem(
    examine, capsys, tmp_path, redis_url, namespace, other
):
    """The weight of a tenant, or the aging time; `config apply`, the remedy that it names, mends it."""
    path = write_config(tmp_path, redis_url, namespace)
    await run_command_beside(capsys, "config", "apply", path)
    write_config(tmp_path, redis_url, namespace, **other)
    code, found = await examine(redis_url, "--config", path)
    assert code == 1
    assert "weights of tenants or aging_seconds in force are not those" in found["config"][-1]["text"]
    await run_command_beside(capsys, "config", "apply", path)
    assert (await examine(redis_url, "--config", path))[0] == 0


async def test_a_key_that_moved_to_another_account_is_a_problem(
    examine, capsys, tmp_path, redis_url, namespace
):
    """The fleet charges it to the account under which it was registered first."""
    await run_command_beside(capsys, "config", "apply", write_config(tmp_path, redis_url, namespace))
    moved = [{"key": KEYS[0], "account": "other"}]
    path = write_config(tmp_path, redis_url, namespace, api_keys=moved, rate_limits=ENTRY["rate_limits"])
    code, found = await examine(redis_url, "--config", path)
    assert code == 1
    assert any("belong to other accounts" in finding["text"] for finding in found["config"])


async def test_what_is_wrong_in_a_pool_is_told_with_its_remedy(examine, redis_url, namespace):
    """A key out of service and a process with other limits: text and remedy for each."""
    async with (
        fleet(redis_url, namespace, limits(requests(60), keys=2)) as member,
        fleet(redis_url, namespace, limits(requests(90), keys=2)) as other,
    ):
        await lease_of(member)
        await lease_of(other)
        await lease_of(member)
        await member.pool("p").pause_key("k0", reason="401")
        code, found = await examine()
    problems = [finding for finding in found["pool"] if finding["grade"] == "problem"]
    assert (code, len(problems)) == (1, 2)
    assert "llm-fleet keys resume k0" in problems[0]["remedy"]
    assert "config drift: 1 of 2 processes" in problems[1]["text"]
    assert "config apply" in problems[1]["remedy"]


def dead(**fields: Any) -> dict[str, Any]:
    return {"state": 0, "seen_ms": 90_000, "queued": 0, "leases": 0, "mailbox": 0, "info": {}, **fields}


def orphans(**processes: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Grade, text and remedy of what is found about these processes."""
    pool = {"ttl_ms": 15_000, "keys": {}, "domains": {}, "queues": [], "waiting": 0, "processes": processes}
    found = [finding for finding in pool_findings("p", pool, None) if finding.about == "orphans"]
    return [(finding.grade, finding.text, finding.remedy) for finding in found]


def test_what_the_dead_left_behind_is_told():
    """Leases are a warning that says when they end; unread messages and records are notes."""
    leases, unread, quiet = orphans(a=dead(leases=2), b=dead(mailbox=1), c=dead(), d=dead(seen_ms=10))
    assert leases[:2] == ("warning", "p: 2 leases of processes that are gone (a)")
    assert "15 s after its last renewal" in leases[2]
    assert unread[:2] == ("note", "p: unread messages for processes that are gone (b)")
    assert quiet[:2] == ("note", "p: 1 process ended without a goodbye (c)")


def server(**fields: Any) -> dict[str, Any]:
    known = {"software": "redis", "version": "7.0.15", "description": "redis://h:1/0"}
    return {**known, "maxmemory": 0, "used_memory": 10, "maxmemory_policy": "noeviction", **fields}


@pytest.mark.parametrize(
    ("fields", "grade", "word"),
    [
        ({"version": "6.2.0"}, "ok", "redis 6.2.0"),
        ({"version": "6.0.16"}, "problem", "too old"),
        ({"version": "8.0.1", "software": "valkey"}, "ok", "valkey 8.0.1"),
        ({"version": None}, "note", "may not run INFO"),
    ],
)
def test_the_version_is_judged(fields, grade, word):
    """Redis from 6.2 on, and every Valkey, will do; a version that is hidden is no fault."""
    finding = version_finding(server(**fields))
    assert (finding.grade, word in finding.text) == (grade, True)


@pytest.mark.parametrize(
    ("fields", "grades"),
    [
        ({}, ["ok"]),
        ({"maxmemory": 100}, ["ok"]),
        ({"maxmemory": 100, "used_memory": 95}, ["problem"]),
        ({"maxmemory": 100, "maxmemory_policy": "volatile-ttl"}, ["problem"]),
        ({"maxmemory_policy": None}, []),
    ],
)
def test_the_memory_is_judged(fields, grades):
    """Evicting and nearly full servers are problems; without maxmemory nothing is evicted."""
    assert [finding.grade for finding in memory_findings(server(**fields))] == grades


@pytest.mark.parametrize(
    ("last", "grade"),
    [
        (Reading(100.2, 100.2, 0.2, 0.0005), "ok"),
        (Reading(130.2, 100.2, 0.2, 0.0005), "problem"),  # set forward while we looked
        (Reading(100.21, 100.2, 0.2, 0.0005), "problem"),  # 5 % fast
        (Reading(100.21, 100.2, 0.2, 0.0200), "ok"),  # within what the round trip hides
        (Reading(100.2, 90.0, 0.2, 0.0005), "warning"),  # ten seconds ahead of ours, at the right pace
    ],
)
def test_the_clock_is_judged_by_its_pace(last, grade):
    """A pace that is off spoils limits; a constant offset spoils only the reading of logs."""
    assert judge_clock(Reading(100.0, 100.0, 0.0, 0.0005), last).grade == grade
