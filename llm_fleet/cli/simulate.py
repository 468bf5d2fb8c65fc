"""`llm-fleet simulate`: a provider that costs nothing and enforces its limits, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError

__all__ = ["simulate"]

LIMITS = ("requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute")


def simulate(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The simulator's own YAML.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    keys: Annotated[int, typer.Option(min=1, max=1000, help="Made-up keys, each an account.")] = 2,
    rpm: Annotated[int, typer.Option(min=1, help="Requests per minute of an account.")] = 60,
    itpm: Annotated[int, typer.Option(min=1, help="Input tokens per minute of an account.")] = 40_000,
    otpm: Annotated[int, typer.Option(min=1, help="Output tokens per minute of an account.")] = 8_000,
    latency: Annotated[float, typer.Option(min=0, max=600, help="Seconds that a call takes.")] = 0.5,
) -> None:
    """Run a simulated provider until Ctrl-C, and print the config that makes llm_fleet use it.

    It speaks Anthropic Messages and OpenAI chat completions. With --config the other options
    but --host and --port do not count.
    """
    from ..simulator import SimulatorConfigError, SimulatorError, serve

    limits = dict(zip(LIMITS, (rpm, itpm, otpm), strict=True))
    wanted = _read(config) if config else _config(keys, limits, latency)
    try:
        serve(wanted, host, port, announce=lambda url: print(_introduction(url, wanted), flush=True))
    except (SimulatorConfigError, SimulatorError) as error:
        raise ConfigError(str(error)) from error


def _config(keys: int, limits: dict[str, int], latency_s: float) -> dict[str, Any]:
    names = {f"account-{n}": f"sk-test-not-a-real-key-{n}" for n in range(1, keys + 1)}
    accounts = {account: {"keys": [key], **limits} for account, key in names.items()}
    return {"latency_s": latency_s, "accounts": accounts}


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); name a YAML file of the simulator") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path}: not readable as YAML") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must hold a mapping with `accounts`")
    return found


def _introduction(url: str, wanted: dict[str, Any]) -> str:
    """What to copy into a config; the keys in it are made up."""
    import yaml

    accounts: dict[str, dict[str, Any]] = wanted["accounts"]
    keys = [{"key": key, "account": name} for name, account in accounts.items() for key in account["keys"]]
    own = {
        name: {"rate_limits": [{field: value for field, value in account.items() if field != "keys"}]}
        for name, account in accounts.items()
        if len(account) > 1
    }
    provider = {"base_url": url, "models": ["simulated"], "api_keys": keys, "accounts": own}
    snippet = yaml.safe_dump({"providers": {"anthropic": provider}}, sort_keys=False)
    return (
        f"# a simulated provider at {url} (OpenAI: {url}/v1), its books at {url}/_books; Ctrl-C ends it\n"
        f"# for llm_fleet, as config/llm.yaml:\n{snippet}"
    )
