"""What the user of the url may do: every command that the library needs is tried on keys of its own.

The commands cancel each other out, so that nothing stays behind where one of them is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from ...engine.keys import PoolKeys
from ...errors import CoordinationError
from ...store import Store
from ...store.faults import code_of
from ...store.target import parse_url
from ..render import some_of
from .findings import Finding
from .source import Source

__all__ = ["PROBES", "right_findings"]

HASH, ZSET, LIST = "hash", "zset", "list"
PROBE_MS = 5000

PROBES: tuple[tuple[str, ...], ...] = (
    ("TIME",),
    ("HSET", HASH, "field", "1"),
    ("PEXPIRE", HASH, str(PROBE_MS)),
    ("HGET", HASH, "field"),
    ("HMGET", HASH, "field"),
    ("HKEYS", HASH),
    ("HDEL", HASH, "field"),
    ("ZADD", ZSET, "0", "member"),
    ("ZLEXCOUNT", ZSET, "-", "+"),
    ("ZRANGE", ZSET, "0", "0"),
    ("ZRANGEBYLEX", ZSET, "-", "+"),
    ("ZRANGEBYSCORE", ZSET, "0", "0"),
    ("ZSCORE", ZSET, "member"),
    ("ZMSCORE", ZSET, "member"),
    ("ZREM", ZSET, "member"),
    ("RPUSH", LIST, "entry"),
    ("LLEN", LIST),
    ("LINDEX", LIST, "0"),
    ("LRANGE", LIST, "0", "0"),
    ("BLPOP", LIST, "0.01"),
    ("EVALSHA", "0" * 40, "0"),
    ("EVAL", "return 1", "0"),
    ("DEL", LIST),
    ("UNLINK", HASH, ZSET),
)
"""Every command of `lua/` and of the store; names of keys stand for probe keys of that type."""


async def right_findings(store: Store, source: Source) -> list[Finding]:
    """One finding: all is allowed, or what to grant.

    Raises:
        CoordinationError: Redis does not answer.
    """
    keys = PoolKeys(source.namespace, source.pools[0] if source.pools else "doctor")
    probe = secrets.token_hex(4)
    names = {kind: keys.mailbox(f"doctor-{probe}-{kind}") for kind in (HASH, ZSET, LIST)}
    refused: list[str] = []
    for name, *arguments in PROBES:
        fault = await _try(store, name, [names.get(argument, argument) for argument in arguments])
        if fault == "key":
            return [_no_keys(source)]
        if fault == "command":
            refused.append(name.lower())
    return list(_judge(source, refused))


async def _try(store: Store, name: str, arguments: list[str]) -> str:
    """Run it; "key" or "command" where this user may not use that, else ""."""
    try:
        await store.call(name, *arguments)
    except CoordinationError as error:
        cause = error.__cause__
        if cause is None or code_of(cause) != "NOPERM":
            raise
        return "key" if "access" in str(cause) else "command"
    except Exception as error:  # the store leaves NOSCRIPT as it is: EVALSHA was allowed
        if code_of(error) != "NOSCRIPT":
            raise
    return ""


def _judge(source: Source, refused: list[str]) -> Iterator[Finding]:
    if not refused:
        yield Finding("ok", "rights", f"user {_user(source)} may run every command that is needed")
        return
    grant = " ".join(f"+{name}" for name in refused)
    text = f"user {_user(source)} may not run {some_of(refused, 8)}"
    yield Finding("problem", "rights", text, f"`ACL SETUSER {_user(source)} {grant}`")


def _no_keys(source: Source) -> Finding:
    text = f"user {_user(source)} may not use keys of namespace {source.namespace}"
    grant = f"`ACL SETUSER {_user(source)} '~{{{source.namespace}:*'`"
    return Finding("problem", "rights", text, f"{grant}: all keys begin so")


def _user(source: Source) -> str:
    return parse_url(source.options.url).login.username or "default"
