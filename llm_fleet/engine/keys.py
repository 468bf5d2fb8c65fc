"""The only file that spells a Redis key.

The scripts make the name of a mailbox from KEYS[1] (lua/lib/records).
All keys of a pool carry one hash tag, so that choice and charge are one atomic step on a
cluster too, and pools spread over its slots. So do conversations, each with a tag of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

__all__ = ["PoolKeys", "session_key"]

_FORBIDDEN = frozenset('{}|"\\')


def _check_parts(*parts: str) -> None:
    for part in parts:
        if not part or any(char in _FORBIDDEN or char < " " for char in part):
            raise ConfigError(
                f"{part!r} cannot be part of a Redis key: leave out {{ }} | quotes and backslashes"
            )


def session_key(namespace: str, session_id: str) -> str:
    """The list that holds a conversation.

    Raises:
        ConfigError: the id is empty, or has a character that no key may have.
    """
    _check_parts(namespace, session_id)
    return f"{{{namespace}:session:{session_id}}}:messages"


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """The Redis keys of one pool in one namespace."""

    namespace: str
    pool: str

    def __post_init__(self) -> None:
        _check_parts(self.namespace, self.pool)

    @property
    def prefix(self) -> str:
        """What every key of the pool begins with: its hash tag."""
        return f"{{{self.namespace}:{self.pool}}}:"

    def all(self) -> list[str]:
        """KEYS of every pool script, in order: pool, tickets, index, expiries, ended (two)."""
        prefix = self.prefix
        return [prefix + name for name in ("pool", "tickets", "index", "expiries", "ended:0", "ended:1")]

    def mailbox(self, process: str) -> str:
        """The list in which grants and wake times for `process` arrive."""
        return f"{self.prefix}mailbox:{process}"
