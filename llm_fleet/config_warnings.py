"""What in a config will run, but hardly as its author meant it. Pure: config in, sentences out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from .config_limits import is_one_each, resolve_concurrency, resolve_limits
from .config_models import ProviderConfig

__all__ = ["provider_warnings"]

_PLACEHOLDER = re.compile(
    r"your[-_ ]|<.*>|change[-_ ]?me|(^|[-_])x{3,}$|\.\.\.|placeholder|api[-_]?key$", re.IGNORECASE
)


def provider_warnings(provider: ProviderConfig, *, max_size: int | None) -> list[str]:
    """One sentence per doubt, each with its place and a remedy; no secrets."""
    place = f"providers.{provider.name}"
    found = [
        *_placeholders(provider),
        *_unshared(provider),
        *_accounts(provider),
        *_dealt(provider),
        *_unlimited(provider),
        *_unused_lanes(provider),
        *_no_depth(provider),
    ]
    if max_size is not None and max_size < len(provider.api_keys):
        found.append(
            f"pool.max_size is {max_size}, below the {len(provider.api_keys)} keys of {place}: clients are"
            " opened and closed all the time; raise it, or leave it out"
        )
    return [text if text.startswith("pool.") else f"{place}{text}" for text in found]


def _placeholders(provider: ProviderConfig) -> Iterator[str]:
    for index, key in enumerate(provider.api_keys):
        if _PLACEHOLDER.search(key.key.get_secret_value()):
            yield f".api_keys[{index}] looks like a placeholder; put the real key in, best as ${{NAME}}"


def _unshared(provider: ProviderConfig) -> Iterator[str]:
    alone = [index for index, key in enumerate(provider.api_keys) if key.account is None]
    if len(alone) > 1:
        names = ", ".join(map(str, alone))
        yield (
            f".api_keys: {len(alone)} keys ({names}) have no account, so each gets the whole limits; where"
            " they belong to one organisation write {key: …, account: …} with the same account"
        )


def _accounts(provider: ProviderConfig) -> Iterator[str]:
    used = {key.account for key in provider.api_keys if key.account}
    for name in sorted(set(provider.accounts) - used):
        yield f".accounts.{name}: no key has this account; give it to a key, or drop the entry"
    if provider.accounts:
        for name in sorted(used - set(provider.accounts)):
            yield f".api_keys: the account {name} has no entry under accounts; a typing error?"


def _dealt(provider: ProviderConfig) -> Iterator[str]:
    entries = provider.rate_limits
    if is_one_each(provider) and any(set(entry.amounts()) != set(entries[0].amounts()) for entry in entries):
        yield (
            ".rate_limits: as many entries as keys are one each, yet they limit different things;"
            " to give all keys all these limits write one entry"
        )


def _unlimited(provider: ProviderConfig) -> Iterator[str]:
    limited = {row.domain for row in resolve_limits(provider)} | set(resolve_concurrency(provider))
    bare = [index for index, key in enumerate(provider.api_keys) if key.domain not in limited]
    if len(bare) == len(provider.api_keys):
        yield ".rate_limits: no limit at all; calls are only held back by the provider's own 429s"
    elif bare:
        yield f".api_keys[{bare[0]}] has no limit, while other keys have; add one to its account"


def _unused_lanes(provider: ProviderConfig) -> Iterator[str]:
    for patterns in provider.patterns().values():
        if provider.models and not any(
            fnmatchcase(model, pattern) for model in provider.models for pattern in patterns
        ):
            yield f".rate_limits: models {patterns} fit none of this provider's models; a typing error?"


def _no_depth(provider: ProviderConfig) -> Iterator[str]:
    for row in resolve_limits(provider):
        if row.enforced_as == "bucket" and row.jitter_s >= row.burst_s:
            at = row.source.removeprefix(f"providers.{provider.name}")
            yield (
                f"{at}: jitter_seconds ({row.jitter_s:g}) leaves nothing of burst_seconds ({row.burst_s:g});"
                " lower the one or raise the other"
            )
            return
