"""What the engine costs and reaches: against its targets (ENGINE.md §8), and against bare redis-py.

Private servers, processes of their own, everything in one run: read the figures as ratios, they
are those of this machine, now; times are scaled to the machine that their targets are from.
One part at a time: --only cost,speed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parent.parent))

import redis

from benchmarks.engine_away import measure_away
from benchmarks.engine_cost import measure_cost, measure_memory
from benchmarks.engine_curves import measure_keys, measure_processes, measure_queue
from benchmarks.engine_dropping import measure_dropping
from benchmarks.engine_report import Figure, Section, as_json, as_text, environment
from benchmarks.engine_rig import open_server
from benchmarks.engine_scale import Scale
from benchmarks.engine_speed import measure_day, measure_speed, measure_waking

Part = Callable[[str, redis.Redis, bool], Section]


def scripts_only(measure: Callable[..., Section]) -> Part:
    """A part that needs no process of its own."""
    return lambda url, client, is_quick: measure(client, is_quick=is_quick)


def with_processes(measure: Callable[..., Section]) -> Part:
    """A part that starts processes."""
    return lambda url, client, is_quick: measure(url, client, is_quick=is_quick)


def with_servers(measure: Callable[..., Section]) -> Part:
    """A part that starts a server for each of its curves."""
    return lambda url, client, is_quick: measure(is_quick=is_quick)


SHAPE = "4 keys with 3 resources each, never blocked, where nothing else is said"
PARTS: dict[str, Part] = {
    "cost": with_processes(measure_cost),
    "speed": with_processes(measure_speed),
    "waking": with_processes(measure_waking),
    "day": with_processes(measure_day),
    "memory": scripts_only(measure_memory),
    "keys": with_servers(measure_keys),
    "queue": with_servers(measure_queue),
    "processes": with_servers(measure_processes),
    "dropping": with_processes(measure_dropping),
    "away": with_servers(measure_away),
}


def parts_in(text: str) -> list[str]:
    """The parts named in "cost,speed"."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(PARTS)}")
    return names


def run(names: Sequence[str], *, is_quick: bool) -> dict[str, Any]:
    """Carry the parts out; what they found. A part that fails says why, and the others go on.

    Each has a server of its own: on a heap that others have left in pieces some pools stay slower.
    """
    figures: list[Figure] = []
    data: dict[str, Any] = {}
    failed: dict[str, str] = {}
    scales: dict[str, Scale] = {}
    with open_server() as (_, client):
        machine = environment(client)
    for name in names:
        print(f"benchmark: {name} …", file=sys.stderr, flush=True)
        try:
            with open_server() as (server, client):
                section = PARTS[name](server.url, client, is_quick)
        except (AssertionError, RuntimeError, redis.RedisError) as error:
            failed[name] = f"{type(error).__name__}: {error}"[:300]
            continue
        figures += section.figures
        data |= section.data
        scales |= {name: section.scale} if section.scale else {}
    found = {"environment": machine, "is_quick": is_quick, "failed": failed}
    return {**found, "scales": scales, "figures": figures, "data": data}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table or JSON. 1: a part failed."""
    parser = argparse.ArgumentParser(prog="engine.py", description=__doc__)
    parser.add_argument("--only", type=parts_in, default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="small and rough: whether it runs at all")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args(arguments)
    found = run(options.only, is_quick=options.quick)
    print(as_json(found) if options.json else as_text(found, SHAPE))
    for name, reason in found["failed"].items():
        print(f"{name} failed: {reason}", file=sys.stderr)
    return 1 if found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
