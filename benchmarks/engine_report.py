"""Figures of the engine with their targets and verdicts, and what they were measured on."""

from __future__ import annotations

import operator
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

__all__ = ["Figure", "Section", "environment", "table"]

Json = dict[str, Any]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "≤": operator.le,
    "≥": operator.ge,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; `target` such as ("≤", 60) gives it a verdict."""

    name: str
    value: float
    unit: str = ""
    target: tuple[str, float] | None = None

    @property
    def verdict(self) -> str:
        """met, missed, or "" where nothing was promised."""
        if self.target is None:
            return ""
        sign, bound = self.target
        return "met" if COMPARISONS[sign](self.value, bound) else "missed"

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Name, value with its unit, target, verdict."""
        target = f"{self.target[0]} {self.target[1]:,g}" if self.target else ""
        return self.name, f"{self.value:,g} {self.unit}".strip(), target, self.verdict

    def to_json(self) -> Json:
        target = "".join(map(str, self.target)) if self.target else None
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": target,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the benchmark found: figures, and data for plots by their name."""

    figures: list[Figure]
    data: Json = field(default_factory=dict)


def environment(client: redis.Redis) -> Json:
    """Server, interpreter, machine and the load before the run."""
    info = client.info()
    return {
        "server": f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}",
        "allocator": info["mem_allocator"],
        "python": platform.python_version(),
        "redis_py": redis.__version__,
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def table(figures: Sequence[Figure]) -> str:
    """The figures in columns."""
    rows = [("figure", "value", "target", "verdict"), *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {target:<{widths[2]}}  {verdict}".rstrip()
        for name, value, target, verdict in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
