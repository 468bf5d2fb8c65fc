"""The same limiter load through llm_fleet and through four other limiters, in one run.

Each runs in a virtual environment of its own (.venv/peers, made at the first run), 2 processes
of 32 tasks each; what cannot be installed is skipped with the reason. Compared with redis-py's bare
`EVALSHA return 1` from the same environment, and in turns with it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parent.parent))

import redis

from benchmarks.engine_report import environment
from benchmarks.engine_rig import cpu_us, open_server
from benchmarks.peers_environment import PEERS, Peer, Unavailable, python_of, version_of

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent
WORKER = Path(__file__).parent / "peers_adapters" / "worker.py"
PROCESSES, TASKS = 2, 32
RATE, LARGE = 100, 60
CROWD, KILL_AFTER_S = 90, 2.0
WARM_UP_S = 0.3


class Worker:
    """A process that acquires through one limiter."""

    def __init__(self, python: str, adapter: str, url: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [python, str(WORKER), adapter, url]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    def begin(self, do: str, **job: Any) -> None:
        """Give it a job."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer says so
            self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
            self._process.stdin.flush()

    def answer(self) -> Json:
        """What came of the job.

        Raises:
            Unavailable: it failed; what it said.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: Json = json.loads(line) if line else {"error": "its process died"}
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def do(self, do: str, **job: Any) -> Json:
        self.begin(do, **job)
        return self.answer()

    def kill(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()


@contextmanager
def workers(python: str, adapter: str, url: str, count: int) -> Iterator[list[Worker]]:
    """So many of them, killed at the end: a limiter may hang."""
    started = [Worker(python, adapter, url) for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()


def open_all(crew: Sequence[Worker], resources: int, per_second: int = 0) -> None:
    for worker in crew:
        worker.do("open", resources=resources, per_second=per_second)


def load(client: redis.Redis, crew: Sequence[Worker], seconds: float) -> tuple[float, float, float]:
    """Acquires per second, client CPU and Redis CPU of each in µs."""
    spent_us = cpu_us(client)
    for worker in crew:
        worker.begin("load", seconds=seconds, tasks=TASKS)
    answers = [worker.answer() for worker in crew]
    count = sum(answer["count"] for answer in answers)
    cpu_s = sum(answer["cpu_s"] for answer in answers)
    longest = max(answer["seconds"] for answer in answers)
    return count / longest, cpu_s / count * 1e6, (cpu_us(client) - spent_us) / count


def speed(client: redis.Redis, crews: Sequence[Sequence[Worker]], turns: int, seconds: float) -> Json:
    """A limiter in turns with bare calls from the same environment: medians."""
    for crew in crews:
        load(client, crew, WARM_UP_S)
    found = [[load(client, crew, seconds) for crew in crews] for _ in range(turns)]
    mine = [median(turn[0][i] for turn in found) for i in range(3)]
    ratio = median(turn[0][0] / turn[1][0] for turn in found)
    return {
        "per_second": round(mine[0]),
        "client_us": round(mine[1]),
        "redis_us": round(mine[2], 1),
        "times_bare": round(ratio, 3),
    }


def gap_after_kill(python: str, peer: Peer, url: str) -> float:
    """The longest time in which nobody acquires after a process that waits with many tasks got SIGKILL."""
    with workers(python, peer.adapter, url, 2) as (victim, witness):
        open_all([victim, witness], 1, RATE)
        victim.do("crowd", tasks=CROWD)
        witness.begin("times", seconds=KILL_AFTER_S + 8, tasks=TASKS)
        time.sleep(KILL_AFTER_S)
        killed_at = time.monotonic()
        victim.kill()
        times: list[float] = sorted([killed_at, *(at for at in witness.answer()["times"] if at > killed_at)])
        times.append(max(times[-1], killed_at + 7))
    return round(max(after - before for before, after in pairwise(times)), 2)


def compare(peer: Peer, url: str, client: redis.Redis, *, is_quick: bool) -> Json:
    """All that is compared, of one limiter."""
    python = python_of(peer)
    found: Json = {"python": version_of(python)}
    turns, seconds = (1, 0.3) if is_quick else (3, 2.0)
    for resources in peer.resources:
        client.flushall()
        with (
            workers(python, peer.adapter, url, PROCESSES) as mine,
            workers(python, "bare", url, PROCESSES) as bare,
        ):
            open_all([*mine, *bare], resources)
            found[f"resources_{resources}"] = speed(client, (mine, bare), turns, seconds)
    client.flushall()
    with workers(python, peer.adapter, url, 1) as (worker,):
        open_all([worker], 1, RATE)
        served = worker.do("streams", seconds=2 if is_quick else 10, large=LARGE)
        found["large_served"], found["small_served"] = served["large"], served["small"]
    if not is_quick:
        client.flushall()
        found["gap_after_kill_s"] = gap_after_kill(python, peer, url)
    return found


def run(names: Sequence[str], *, is_quick: bool) -> Json:
    """Compare the limiters of these names."""
    found: Json = {}
    with open_server() as (server, client):
        machine = environment(client)
        for peer in PEERS:
            if peer.name not in names:
                continue
            print(f"benchmark: {peer.name} …", file=sys.stderr, flush=True)
            try:
                found[peer.name] = compare(peer, server.url, client, is_quick=is_quick)
            except Unavailable as reason:
                found[peer.name] = {"skipped": str(reason)}
    return {"environment": machine, "is_quick": is_quick, "peers": found}


def lines_of(found: Json) -> Iterator[str]:
    """The comparison in columns."""
    titles = ("acquires/s", "x bare", "client µs", "Redis µs", "3 resources/s", "large served", "gap, s")
    yield f"{'limiter':<16}" + "".join(f"{title:>15}" for title in titles)
    for name, peer in found["peers"].items():
        if "skipped" in peer:
            yield f"{name:<16}  skipped: {peer['skipped']}"
            continue
        one, three = peer["resources_1"], peer.get("resources_3", {})
        cells = [one[field] for field in ("per_second", "times_bare", "client_us", "redis_us")]
        cells += [three.get("per_second", "-"), peer["large_served"], peer.get("gap_after_kill_s", "-")]
        yield f"{name:<16}" + "".join(f"{cell:>15}" for cell in cells)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and print a table or JSON."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="peers.py", description=__doc__)
    parser.add_argument("--only", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="short and rough")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args(arguments)
    found = run(options.only.split(","), is_quick=options.quick)
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    print(", ".join(f"{name} {value}" for name, value in found["environment"].items()))
    print(
        f"2 processes x 32 tasks; large: {LARGE} units among 31 streams of one unit, {RATE} units/s, 10 s\n"
    )
    print("\n".join(lines_of(found)))


if __name__ == "__main__":
    main()
