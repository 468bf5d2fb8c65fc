"""`python -m llm_fleet.simulator --config FILE`: serve, and print the url on one line when it answers."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

import yaml

from .config import SimulatorConfigError, SimulatorError
from .launch import serve

EXIT_UNAVAILABLE = 69
EXIT_CONFIG = 78


def main() -> int:
    options = _arguments()
    try:
        config = _load(options.config)
        say = functools.partial(print, flush=True)
        serve(config, options.host, options.port, parent=options.parent, announce=say)
    except SimulatorConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except SimulatorError as error:
        print(error, file=sys.stderr)
        return EXIT_UNAVAILABLE
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m llm_fleet.simulator", description="A simulated provider."
    )
    parser.add_argument("--config", required=True, help="a YAML or JSON file; - is standard input")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--parent", type=int, help="end when this process is no longer the parent")
    return parser.parse_args()


def _load(path: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        config = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise SimulatorConfigError(f"simulator config: cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise SimulatorConfigError(f"simulator config: {path} must hold a mapping with `accounts`")
    return config


if __name__ == "__main__":
    sys.exit(main())
