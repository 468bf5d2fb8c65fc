"""`llm-fleet status` on a real fleet: what it shows, what it calls degraded, and that it only looks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from llm_fleet.cli.fleet.view import status_view
from llm_fleet.engine.fleet import Fleet
from llm_fleet.engine.values import Bucket, PoolLimits
from tests.commands import Ran, command_in_background, run_command, run_command_beside
from tests.fleets import fleet, lease_of, limits, requests, take

CONFIG = """
redis: {{url: "{url}", namespace: {namespace}}}
providers:
  p:
    kind: anthropic
    api_keys: [sk-test-not-a-real-key-1]
"""


def busy_limits(amount: int = 6) -> PoolLimits:
    """Two keys, one request each at once, then ten seconds to the next."""
    tokens = Bucket("output_tokens", 8_000, burst_ms=10_000, rule="as_produced")
    return limits(requests(amount, burst_ms=10_000), tokens, keys=2, slots=5)


@pytest.fixture
async def busy(redis_url: str, namespace: str) -> AsyncIterator[Fleet]:
    """A fleet with a lease on each of its two keys, and a ticket that waits."""
    async with fleet(redis_url, namespace, busy_limits()) as member:
        await asyncio.gather(lease_of(member), lease_of(member))
        waiting = asyncio.create_task(take(member, timeout_s=30))
        while (await member.status())["p"]["waiting"] == 0:
            await asyncio.sleep(0.01)
        yield member
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@pytest.fixture
def show(capsys, redis_url: str, namespace: str) -> Any:
    """Runs `status` on the test's namespace."""

    async def run(*options: str) -> Ran:
        where = ("--redis", redis_url, "--namespace", namespace)
        return await run_command_beside(capsys, "status", *where, *options)

    return run


async def test_it_finds_the_pools_and_shows_keys_processes_and_the_head(busy, show):
    """Without a config: the pool, its key ids, this process, and one line on what the head waits for."""
    ran = await show()
    assert ran.code == 0
    words = ["pool p", "2 keys", "k0", "k1", "1 / 5", str(os.getpid()), "live", "requests/min", "output/min"]
    assert [word for word in words if word not in ran.out] == []
    lines = [line for line in ran.out.splitlines() if line.startswith("- lane *, 1 waiting: head ")]
    assert len(lines) == 1
    assert "for requests_per_minute on key k" in lines[0]
    assert "needs 1, 0 there, refills in" in lines[0]


async def test_json_is_the_snapshot_with_the_derived_lines(busy, show):
    """One object: server, pools by name with resources by name, lines and reasons."""
    found = json.loads((await show("--json")).out)
    pool = found["pools"]["p"]
    assert (found["status"], found["reasons"], pool["waiting"], len(pool["waits_for"])) == ("ok", [], 1, 1)
    resources = [bucket["resource"] for bucket in pool["domains"]["d-k0"]["lanes"]["*"]]
    assert resources == ["requests_per_minute", "output_tokens_per_minute"]
    assert found["server"]["version"]
    assert 0 < found["server"]["latency_ms"] < 1000
    assert abs(found["server"]["clock_ahead_s"]) < 1


async def test_it_only_looks(busy, show):
    """Status registers no process and changes no key of Redis."""
    before = await busy.status()
    await show()
    await show("--json")
    after = await busy.status()
    assert after["p"]["processes"].keys() == before["p"]["processes"].keys()
    assert (after["p"]["fence"], after["p"]["waiting"]) == (before["p"]["fence"], before["p"]["waiting"])


async def test_check_tells_a_healthy_fleet_from_one_with_a_key_out_of_service(busy, show):
    """--check ends with 0, and with 1 and the reason once a key is out."""
    assert (await show("--check")).code == 0
    await busy.pool("p").pause_key("k1", reason="401 invalid x-api-key")
    ran = await show("--check")
    assert ran.code == 1
    assert "p: key k1 is out of service until it is resumed: 401 invalid x-api-key" in ran.out


async def test_a_process_with_other_limits_is_drift(busy, show, redis_url, namespace):
    """A process whose limits are not those in force degrades the fleet, and is named."""
    async with fleet(redis_url, namespace, busy_limits(12)) as other:
        await other.pool("p").resume_key("k0")
        waiting = asyncio.create_task(take(other, timeout_s=30))
        while len((await busy.status())["p"]["processes"]) < 2:
            await asyncio.sleep(0.01)
        (reason,) = json.loads((await show("--json")).out)["reasons"]
        waiting.cancel()
    first = next(iter((await busy.status())["p"]["processes"]))
    assert f"config drift: 1 of 2 processes ({first}) were given other limits for d-k0, d-k1" in reason


async def test_a_config_names_redis_namespace_and_pools(busy, capsys, tmp_path, redis_url, namespace):
    """With --config nothing else is needed."""
    path = tmp_path / "llm.yaml"
    path.write_text(CONFIG.format(url=redis_url, namespace=namespace))
    ran = await run_command_beside(capsys, "status", "--config", str(path))
    assert ran.code == 0
    assert "pool p · 2 keys" in ran.out


async def test_a_pool_that_nobody_joined_yet_is_no_fault(capsys, tmp_path, redis_url, namespace):
    """A fresh deployment is not degraded."""
    path = tmp_path / "llm.yaml"
    path.write_text(CONFIG.format(url=redis_url, namespace=namespace))
    ran = await run_command_beside(capsys, "status", "--check", "--config", str(path))
    assert ran.code == 0
    assert "pool p: no process has registered yet" in ran.out


def test_other_namespaces_are_not_shown(capsys, redis_url, namespace):
    """A namespace is no pattern: `*` is a name like any other."""
    ran = run_command(capsys, "status", "--redis", redis_url, "--namespace", "*")
    assert ran.code == 0
    assert "no pool in namespace *" in ran.out


@pytest.mark.parametrize("width", [80, 120])
async def test_it_fits_the_terminal(busy, show, width):
    """At 80 and at 120 columns nothing is cut off: key ids, levels and states are whole."""
    status = json.loads((await show("--json")).out)
    sheet = StringIO()
    Console(file=sheet, width=width).print(status_view(status, width=width))
    lines = sheet.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in sheet.getvalue()
    assert [word for word in ("0/1", "d-k0", "1 / 5", "ok") if word not in sheet.getvalue()] == []


async def test_watch_goes_on_until_interrupted(busy, redis_url, namespace):
    """--watch --json prints a line each interval; Ctrl-C ends it with exit code 0 and no word."""
    where = ("--redis", redis_url, "--namespace", namespace)
    watching = command_in_background("status", *where, "--watch", "--json", "--interval", "0.1")
    assert watching.stdout
    lines = [await asyncio.to_thread(watching.stdout.readline) for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(watching.communicate)
    assert [json.loads(line)["pools"]["p"]["waiting"] for line in lines] == [1, 1, 1]
    assert (watching.returncode, err) == (0, "")


def test_it_starts_without_a_vendor_sdk(redis_url):
    """Nobody waits for an SDK to look at the status."""
    code = (
        "import sys; from llm_fleet.cli import main\n"
        f"try: main(['status', '--redis', {redis_url!r}])\n"
        "except SystemExit: print(sorted({'anthropic', 'openai'} & set(sys.modules)))"
    )
    root = Path(__file__).parent.parent
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert ran.stdout.splitlines()[-1] == "[]", ran.stderr
