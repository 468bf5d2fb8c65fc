"""Figures with their targets and verdicts, what they were measured on, and how both are shown."""

from __future__ import annotations

import json
import operator
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from .engine_scale import REFERENCE_US, Scale

__all__ = ["Figure", "Section", "as_json", "as_text", "environment", "scaled", "scales_told", "table"]

Json = dict[str, Any]
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "≤": operator.le,
    "≥": operator.ge,
    "=": operator.eq,
}
TIMES = ("µs", "ms")
SCALED = "met when scaled"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; `target` such as ("≤", 60) gives it a verdict.

    With the machine's `slowness` the target is for the value divided by it.
    """

    name: str
    value: float
    unit: str = ""
    target: tuple[str, float] | None = None
    slowness: float | None = None

    @property
    def scaled(self) -> float | None:
        """The value at the speed of the machine that the target is from; None: it is no matter of speed."""
        return None if self.slowness is None else self.value / self.slowness

    @property
    def verdict(self) -> str:
        """met, met when scaled (and not as measured), missed, or "" where nothing was promised."""
        if self.target is None:
            return ""
        if self._meets(self.value):
            return "met"
        return SCALED if self.scaled is not None and self._meets(self.scaled) else "missed"

    def _meets(self, value: float) -> bool:
        assert self.target
        sign, bound = self.target
        return COMPARISONS[sign](value, bound)

    @property
    def row(self) -> tuple[str, ...]:
        """Name, value with its unit, the same at the reference's speed, target, verdict."""
        target = f"{self.target[0]} {self.target[1]:,g}" if self.target else ""
        return self.name, self._told(self.value), self._told(self.scaled), target, self.verdict

    def _told(self, value: float | None) -> str:
        return "" if value is None else f"{round(value, 2):,g} {self.unit}".strip()

    def to_json(self) -> Json:
        target = "".join(map(str, self.target)) if self.target else None
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "slowness": None if self.slowness is None else round(self.slowness, 3),
            "scaled": None if self.scaled is None else round(self.scaled, 2),
            "target": target,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the benchmark found: figures, data for plots by their name, and how slow all was."""

    figures: list[Figure]
    data: Json = field(default_factory=dict)
    scale: Scale | None = None


def scaled(figures: Sequence[Figure], scale: Scale) -> list[Figure]:
    """The figures, those that are times with a target by this scale."""
    return [
        replace(figure, slowness=scale.slowness) if figure.target and figure.unit in TIMES else figure
        for figure in figures
    ]


def scales_told(scales: Mapping[str, Scale]) -> str:
    """In a line what "scaled" means, and what it was in each part of this run."""
    each = "; ".join(f"{name}: {scale}" for name, scale in scales.items())
    return (
        "scaled: the value / slowness; slowness is the client CPU of one bare redis-py `EVALSHA return 1`"
        f" (2 processes x 32 tasks, read between the repeats) / {REFERENCE_US:g} µs, at least 1. {each}"
    )


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
    rows = [("figure", "value", "scaled", "target", "verdict"), *(figure.row for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    aligned = (str.ljust, str.rjust, str.rjust, str.ljust, str.ljust)
    lines = [
        "  ".join(
            align(text, width) for align, text, width in zip(aligned, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def as_json(found: Json) -> str:
    """All that a program found, its `figures` and `scales` too, as one object."""
    figures = [figure.to_json() for figure in found["figures"]]
    scales = {name: scale.to_json() for name, scale in found["scales"].items()}
    return json.dumps({**found, "scales": scales, "figures": figures}, indent=1, ensure_ascii=False)


def as_text(found: Json, shape: str) -> str:
    """The figures in a table, under what they were measured on and in which `shape`."""
    machine = ", ".join(f"{name} {value}" for name, value in found["environment"].items())
    scales = ["", scales_told(found["scales"])] if found["scales"] else []
    return "\n".join([machine, shape, "", table(found["figures"]), *scales])
