"""The only file that spells a Redis key.

All keys of a pool carry one hash tag, so that choice and charge are one atomic step on a
cluster too, and pools spread over its slots.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

__all__ = ["PoolKeys"]

_FORBIDDEN = frozenset('{}|"\\')


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """The Redis keys of one pool in one namespace."""

    namespace: str
    pool: str

    def __post_init__(self) -> None:
        for part in (self.namespace, self.pool):
            if not part or any(char in _FORBIDDEN or char < " " for char in part):
                raise ConfigError(
                    f"{part!r} cannot be part of a Redis key: leave out {{ }} | quotes and backslashes"
                )

    @property
    def prefix(self) -> str:
        """What every key of the pool begins with: its hash tag."""
        return f"{{{self.namespace}:{self.pool}}}:"

    def all(self) -> list[str]:
        """KEYS of every pool script, in order: pool, tickets, index, expiries, ended (two)."""
        prefix = self.prefix
        return [prefix + name for name in ("pool", "tickets", "index", "expiries", "ended:0", "ended:1")]

    @property
    def mailboxes(self) -> str:
        """Prefix of the mailbox of a process (its id follows)."""
        return f"{self.prefix}mailbox:"

    def mailbox(self, process: str) -> str:
        """The list in which grants and wake times for `process` arrive."""
        return self.mailboxes + process
