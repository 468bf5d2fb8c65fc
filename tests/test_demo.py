"""`llm-fleet demo`: real processes, real HTTP, a real kill; and the arithmetic of its report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from asyncio import Event
from io import StringIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis
from rich.console import Console

from llm_fleet.cli.demo.report import percentile, results
from llm_fleet.cli.demo.scenario import account_keys
from llm_fleet.cli.demo.screen import view_of
from llm_fleet.cli.demo.show import Kill, Scene
from llm_fleet.cli.demo.tables import print_results
from tests.commands import command_in_background
from tests.waiting import eventually


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.load  # it judges 429s and gaps: other tests must not keep its processes from the cores
def test_a_short_demo_uses_what_is_permitted_although_a_process_is_killed():
    """4 keys, 4 processes, one kill -9, no REDIS_URL: no 429, no failed call, and nothing is left."""
    running = command_in_background("demo", "--seconds", "4", "--json", env={"REDIS_URL": ""})
    out, err = running.communicate(timeout=90)
    assert (running.returncode, err) == (0, "")
    shown = json.loads(out)
    assert (shown["rejected_429"], shown["failed"], shown["granted_twice"]) == (0, 0, 0)
    assert shown["used"] > 0.8
    check_keys(shown)
    check_processes(shown["processes"])
    check_kill(shown["kill"], shown["processes"])


def check_keys(shown: dict[str, Any]) -> None:
    keys = shown["keys"]
    assert [key["key"] for key in keys] == list(account_keys().values())
    assert shown["accepted"] == sum(key["requests"]["used"] for key in keys)
    assert all(0 < key["peak_in_flight"] <= key["slots"] for key in keys)


def check_processes(processes: list[dict[str, Any]]) -> None:
    assert [process["process"] for process in processes] == [1, 2, 3, 4]
    # the one that is killed may have come last: what the buckets held at the start was the others' then
    assert all(process["served"] > 0 for process in processes if not process["killed"])
    assert not any(is_running(process["pid"]) for process in processes)


def check_kill(kill: dict[str, Any], processes: list[dict[str, Any]]) -> None:
    assert [process["process"] for process in processes if process["killed"]] == [kill["process"]]
    assert 0 < kill["largest_gap_s"] <= 2 * 60 / (4 * 120) + 1
    assert 0 < kill["tickets_lost"] <= 25


def test_ctrl_c_ends_everything(redis_url):
    """An interrupt in mid-run leaves no process behind, and nothing in a Redis that is not ours."""
    running = command_in_background("demo", "--seconds", "30", env={"REDIS_URL": redis_url})
    assert running.stdout
    for line in running.stdout:
        if "accepted" in line:
            break
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(running.pid)], capture_output=True, text=True
    )
    pids = [int(pid) for pid in children.stdout.split()]
    assert len(pids) == 5
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (130, "")
    assert eventually(lambda: not any(map(is_running, pids)))
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("*") == []


def page(accepted: int) -> dict[str, Any]:
    return {
        "rejected": 1,
        "accepted": accepted,
        "in_flight": 8,
        "peak_concurrency": 2,
        "max_concurrency": 8,
        "used": {"requests": accepted, "input_tokens": 5, "output_tokens": 12},
        "permitted": {
            resource: {"from_first_to_last_accepted": most}
            for resource, most in (("requests", 10.0), ("input_tokens", 15_500), ("output_tokens", 7_700))
        },
    }


def played(times: list[float], kill_at: float) -> Scene:
    """A scene whose provider accepted requests at `times`."""
    workers = [
        SimpleNamespace(
            number=n,
            pid=4_000_000 + n,
            is_killed=n == 2,
            served=1234,
            errors=[],
            waits=[n / 10],
            done=Event(),
        )
        for n in (1, 2)
    ]
    rows = [{"status": 200, "t": t, "fence": str(n)} for n, t in enumerate(times)]
    scene = Scene(10.0, cast(Any, workers))
    scene.books = {
        "requests": [*rows, {"status": 429, "t": 50.0, "fence": "0"}],
        "accounts": {account: page(len(times)) for account in account_keys()},
    }
    scene.kill = Kill(cast(Any, workers[1]), kill_at, leases=2, queued=20)
    return scene


def test_the_gap_is_the_largest_after_the_kill_that_began_near_it():
    """A gap over the kill counts, one long before it or long after it does not."""
    kill = results(played([0.0, 3.0, 4.0, 4.9, 6.1, 6.5, 20.0, 29.0], kill_at=5.0))["kill"]
    assert (kill["largest_gap_s"], kill["largest_gap_before_s"], kill["at_s"]) == (13.5, 3.0, 5.0)
    kill = results(played([0.0, 4.9, 6.1, 6.5, 9.5, 29.0], kill_at=5.0))["kill"]
    assert (kill["largest_gap_s"], kill["tickets_lost"], kill["slots_back_s"]) == (3.0, 22, None)


def test_use_is_what_was_accepted_of_what_was_permitted():
    """429s are counted apart, and a fence seen twice is a grant too many."""
    scene = played([0.0, 1.0, 2.0], kill_at=1.5)
    found = results(scene)
    assert (found["accepted"], found["used"], found["rejected_429"]) == (3, 0.3, 4)
    assert found["granted_twice"] == 0
    scene.books["requests"][1]["fence"] = "0"
    assert results(scene)["granted_twice"] == 1


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize("screen", ["live", "results"])
def test_nothing_is_cut_off_on_narrow_terminals(width, screen):
    """Key ids, shares and states are whole, and no line is too long, in a long run of large processes too."""
    scene, sheet = played([float(n) for n in range(1_234)], kill_at=600.0), StringIO()
    for found in scene.books["accounts"].values():
        found["permitted"]["requests"]["from_first_to_last_accepted"] = 1_250
    console = Console(file=sheet, width=width)
    if screen == "live":
        console.print(view_of(scene, console))
    else:
        print_results(console, results(scene))
    text, lines = sheet.getvalue(), sheet.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert [key for key in account_keys().values() if key not in text] == []
    assert [word for word in ("1,234/1,250", "1.2k/1.2k") if word in text] != []
    assert any(line.startswith("2") and line.rstrip().endswith("killed") for line in lines)


def test_percentiles_need_values():
    """Of none there is none; of one it is that one."""
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0
