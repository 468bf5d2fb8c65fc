"""A whole fleet in virtual time: `python -m tests.simulation --processes 2000 --seed 7 [--json]`.

Prints what it used of what the providers permitted, 429s, waits by band and tenant, and steps per request.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace

from tests.simulation.fleet import Fleet
from tests.simulation.scenario import Scenario
from tests.simulation.scenarios import SCENARIOS

PLAIN = ("accounts", "processes", "tasks", "seconds", "seed", "jitter_ms", "patience_s", "aging_ms", "slots")


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line: a scenario, and what is to be different in it."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="city", help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    kinds = {field.name: field.default for field in fields(Scenario) if field.name in PLAIN}
    for name, default in kinds.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), help="default: the scenario's")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it, and print what was seen."""
    options = options_of(arguments)
    given = {name: getattr(options, name) for name in PLAIN if getattr(options, name) is not None}
    report = Fleet(replace(SCENARIOS[options.scenario], **given)).run()
    print(report.as_json() if options.json else "\n".join(report.lines()))


if __name__ == "__main__":
    main()
