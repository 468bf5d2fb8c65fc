"""The whole stack under load: several processes, real SDKs, a provider that keeps books.

python benchmarks/fleet.py --scenario saturated          see README.md beside this file
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.harness import Outcome, run_fleet
from benchmarks.plan import SCENARIOS, Plan, plan_of
from benchmarks.report import figures_of
from benchmarks.targets import Target, targets_of

Json = dict[str, Any]


def main() -> int:
    """Run what the command line asks for. 0: every target is met, 1: one is not, 2: usage."""
    options = vars(_parser().parse_args())
    is_json, redis_url = options.pop("json"), options.pop("redis")
    plan, machine = plan_of(options), _machine()
    if not is_json:
        print(_described(plan), f"On: {machine}", sep="\n", flush=True)
    outcome = run_fleet(plan, redis_url)
    figures = figures_of(outcome)
    targets = targets_of(plan, figures)
    if is_json:
        print(json.dumps({"machine": machine, **_object(outcome, figures, targets)}))
    else:
        print(f"Redis: {outcome.redis}", *_lines(figures), *targets, sep="\n")
    return 0 if all(target.is_met for target in targets) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fleet.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices = {
        "scenario": [*SCENARIOS],
        "provider": ["anthropic", "openai"],
        "server": ["simulator", "strict"],
    }
    for option in fields(Plan):
        kind = type(option.default)
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=kind,
            choices=choices.get(option.name),
            default=argparse.SUPPRESS,
            help=f"{option.metadata['help']} (default {option.default!r})",
        )
    parser.add_argument(
        "--redis", default=None, metavar="URL", help="a Redis to use (default: a private one)"
    )
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    return parser


def _described(plan: Plan) -> str:
    options = " ".join(f"{name}={value}" for name, value in plan.described().items() if value not in ("", 0))
    return f"Run: {options}"


def _machine() -> str:
    load = os.getloadavg()[0]
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.2f} before the run"


def _lines(figures: Json) -> list[str]:
    return [f"{name:34}{_shown(value)}" for name, value in figures.items() if value not in ("", None, {}, [])]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return "; ".join(map(_shown, value))
    return str(value)


def _object(outcome: Outcome, figures: Json, targets: list[Target]) -> Json:
    verdicts = [{"name": target.name, "value": target.value, "met": target.is_met} for target in targets]
    return {
        "plan": outcome.plan.described(),
        "redis": outcome.redis,
        "figures": figures,
        "targets": verdicts,
    }


if __name__ == "__main__":
    sys.exit(main())
