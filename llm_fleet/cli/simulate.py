"""`llm-fleet simulate`: a provider that costs nothing and enforces its limits, in the foreground."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError

__all__ = ["simulate"]

MOST = 1_000_000_000


def simulate(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The simulator's own YAML.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write llm_fleet's config to this new file.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    keys: Annotated[
        int, typer.Option(min=1, max=1000, help="Made-up keys of each, every one an account.")
    ] = 2,
    rpm: Annotated[int, typer.Option(min=1, max=MOST, help="Requests per minute of an account.")] = 60,
    itpm: Annotated[
        int, typer.Option(min=1, max=MOST, help="Input tokens per minute of an account.")
    ] = 40_000,
    otpm: Annotated[
        int, typer.Option(min=1, max=MOST, help="Output tokens per minute of an account.")
    ] = 40_000,
    latency: Annotated[float, typer.Option(min=0, max=600, help="Seconds that a call takes.")] = 0.5,
) -> None:
    """Run simulated providers until Ctrl-C, and print the config that makes llm_fleet use them.

    They speak Anthropic Messages and OpenAI chat completions, each with accounts of its own; what OpenAI's
    count is input and output together. With --config the other options but --host, --port and
    --write do not count.
    """
    from ..simulator import SimulatorConfigError, SimulatorError, serve

    if not host:
        raise typer.BadParameter("--host: name an address, such as 127.0.0.1")
    if write is not None and write.exists():
        raise typer.BadParameter(f"--write: {write} is there already; name a new file, or remove it")
    together = {"requests_per_minute": rpm, "tokens_per_minute": itpm + otpm}
    apart = {"requests_per_minute": rpm, "input_tokens_per_minute": itpm, "output_tokens_per_minute": otpm}
    wanted = _read(config) if config else _config(keys, {"anthropic": apart, "openai": together}, latency)
    try:
        serve(wanted, host, port, announce=lambda url: _introduce(url, wanted, write))
    except (SimulatorConfigError, SimulatorError) as error:
        raise ConfigError(str(error)) from error


def _config(keys: int, limits: Mapping[str, dict[str, int]], latency_s: float) -> dict[str, Any]:
    names = [(f"{kind}-{number}", kind) for kind in limits for number in range(1, keys + 1)]
    accounts = {
        name: {"keys": [f"sk-test-not-a-real-key-{index}"], **limits[kind]}
        for index, (name, kind) in enumerate(names, start=1)
    }
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


def _introduce(url: str, wanted: dict[str, Any], path: Path | None) -> None:
    """Print, and write if wanted, what to use as a config; the keys in it are made up."""
    import yaml

    snippet = yaml.safe_dump(_fleet_config(url, wanted), sort_keys=False)
    print(f"# simulated providers at {url} (OpenAI: {url}/v1), books at {url}/_books; Ctrl-C ends them")
    if path is not None:
        try:
            path.write_text(snippet, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--write: {path} cannot be written ({error.strerror}); name another") from None
        print(f"# to use them: export LLM_CONFIG_PATH={path.resolve()}")
    print(f"# the config that uses them:\n{snippet}", flush=True)


def _fleet_config(url: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """A whole config: an entry for each protocol that has accounts."""
    accounts: dict[str, dict[str, Any]] = wanted["accounts"]
    providers = {}
    for kind, address in (("anthropic", url), ("openai", f"{url}/v1")):
        mine = {name: one for name, one in accounts.items() if _kind(one, wanted) == kind}
        if mine:
            providers[kind] = {"base_url": address, "models": ["simulated"], **_limited(mine)}
    if "openai" in providers:
        providers["openai"]["settings"] = {"max_tokens": 256}
    return {"redis": {"url": "${REDIS_URL:-embedded}"}, "providers": providers}


def _kind(account: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The protocol under which an account is shown: the simulator answers all of them in both."""
    kind = str(wanted.get("kind", "both"))
    if kind != "both":
        return kind
    return "openai" if "tokens_per_minute" in account else "anthropic"


def _limited(accounts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Keys and limits, as an entry of a provider has them."""
    keys = [{"key": key, "account": name} for name, account in accounts.items() for key in account["keys"]]
    limits = {
        name: {"rate_limits": [{field: value for field, value in account.items() if field != "keys"}]}
        for name, account in accounts.items()
        if len(account) > 1
    }
    return {"api_keys": keys, **({"accounts": limits} if limits else {})}
