"""Small scripts for tests of the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["Echo"]


@dataclass(frozen=True, slots=True)
class Echo:
    """A script that answers what it gets."""

    source: str = "return {KEYS[1], ARGV[1], #ARGV}"

    @property
    def sha(self) -> str:
        return hashlib.sha1(self.source.encode()).hexdigest()
