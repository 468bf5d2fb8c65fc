"""Small charts as SVG text: lines and bars. Knows nothing of what they show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Axis", "Chart", "Series", "bars", "step_of"]

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 160, 72, 56
COLOURS = ("#1f6feb", "#d1502f", "#2b8a3e", "#8250b8", "#9a6700")
INK, FAINT = "#24292f", "#d8dee4"
FONT = "font-family='system-ui, DejaVu Sans, sans-serif'"
BAR, LABELS = 26, 200


def text(x: float, y: float, words: str, *, size: int = 12, more: str = "") -> str:
    """Words at a place."""
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{INK}' {more}>{escape(words)}</text>"


def line(points: Sequence[tuple[float, float]], colour: str, *, more: str = "stroke-width='2'") -> str:
    """A polyline."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' {more}/>"


def page(height: int, parts: Sequence[str]) -> str:
    """The parts as one picture."""
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' "
        f"width='{WIDTH}' height='{height}' {FONT}>\n<rect width='100%' height='100%' fill='white'/>"
    )
    return "\n".join([head, *parts, "</svg>\n"])


def short(value: float) -> str:
    """A number for an axis: 2,000 is 2k."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


@dataclass(frozen=True, slots=True)
class Axis:
    """From the least to the most value of an axis, linear or logarithmic."""

    least: float
    most: float
    is_log: bool = False

    @classmethod
    def around(cls, values: Sequence[float], *, is_log: bool = False) -> Axis:
        """An axis that shows all of these; a linear one begins at 0."""
        if is_log:
            return cls(
                10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values))), True
            )
        step = step_of(max(values))
        return cls(0, math.ceil(max(values) / step) * step)

    def at(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        if self.is_log:
            least = math.log10(self.least)
            return (math.log10(value) - least) / (math.log10(self.most) - least)
        return (value - self.least) / (self.most - self.least)

    def ticks(self) -> list[float]:
        if self.is_log:
            low, high = round(math.log10(self.least)), round(math.log10(self.most))
            return [10.0**power for power in range(low, high + 1)]
        step = step_of(self.most)
        return [step * i for i in range(round(self.most / step) + 1)]


def step_of(most: float) -> float:
    """A round distance of ticks, four to eight of them."""
    power = 10 ** math.floor(math.log10(most))
    return next(power * part for part in (0.2, 0.25, 0.5, 1, 2) if most / (power * part) <= 6)


@dataclass(frozen=True, slots=True)
class Series:
    """A line with its name."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over an x axis whose ticks are given; `bounds` are dashed lines with a name."""

    title: str
    below: str
    x_name: str
    y_name: str
    series: Sequence[Series]
    x_ticks: Sequence[float]
    is_log_x: bool = True
    is_log_y: bool = False
    bounds: dict[str, float] = field(default_factory=dict)

    def svg(self) -> str:
        """The picture."""
        xs = self.x_ticks
        x_axis = Axis(min(xs), max(xs), self.is_log_x)
        ys = [y for series in self.series for _, y in series.points] + list(self.bounds.values())
        y_axis = Axis.around(ys, is_log=self.is_log_y)

        def place(x: float, y: float) -> tuple[float, float]:
            across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
            return LEFT + x_axis.at(x) * across, HEIGHT - BOTTOM - y_axis.at(y) * up

        return page(HEIGHT, [*self._frame(y_axis, place), *self._lines(place)])

    def _frame(self, y_axis: Axis, place: Callable[[float, float], tuple[float, float]]) -> Iterator[str]:
        yield text(16, 26, self.title, size=16, more="font-weight='600'")
        yield text(16, 46, f"{self.y_name}  ·  {self.below}", more="opacity='.7'")
        least, most = min(self.x_ticks), max(self.x_ticks)
        for tick in y_axis.ticks():
            ends = [place(least, tick), place(most, tick)]
            yield line(ends, FAINT, more="stroke-width='1'")
            yield text(LEFT - 8, ends[0][1] + 4, short(tick), more="text-anchor='end'")
        for tick in self.x_ticks:
            x, y = place(tick, y_axis.least)
            yield text(x, y + 18, short(tick), more="text-anchor='middle'")
        middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
        yield text(middle, HEIGHT - 14, self.x_name, more="text-anchor='middle'")

    def _lines(self, place: Callable[[float, float], tuple[float, float]]) -> Iterator[str]:
        least, most = min(self.x_ticks), max(self.x_ticks)
        labels: list[tuple[float, str, str]] = []
        for name, bound in self.bounds.items():
            ends = [place(least, bound), place(most, bound)]
            yield line(ends, INK, more="stroke-dasharray='5 4' opacity='.6'")
            labels.append((ends[1][1], name, INK))
        for series, colour in zip(self.series, COLOURS, strict=False):
            points = [place(x, y) for x, y in series.points]
            yield line(points, colour)
            if len(points) <= 12:
                yield from (f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>" for x, y in points)
            labels.append((points[-1][1], series.name, colour))
        for y, name, colour in apart(labels):
            yield text(WIDTH - RIGHT + 10, y + 4, name, more=f"style='fill:{colour}'")


def apart(labels: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Labels from top to bottom, each at least a line below the one before."""
    placed: list[tuple[float, str, str]] = []
    for y, name, colour in sorted(labels):
        placed.append((max(y, placed[-1][0] + 16) if placed else y, name, colour))
    return placed


def bars(title: str, below: str, rows: Sequence[tuple[str, float, str]], ours: str) -> str:
    """Horizontal bars: name, value, and the words after it; coloured where `ours` is in the name."""
    most = max(value for _, value, _ in rows)
    across = WIDTH - LABELS - RIGHT - 20
    parts = [text(16, 26, title, size=16, more="font-weight='600'"), text(16, 46, below, more="opacity='.7'")]
    for number, (name, value, words) in enumerate(rows):
        y, length = TOP + number * (BAR + 10), max(1.0, value / most * across)
        colour = COLOURS[0] if ours in name else "#8c959f"
        parts.append(text(LABELS - 10, y + BAR / 2 + 4, name, more="text-anchor='end'"))
        parts.append(f"<rect x='{LABELS}' y='{y}' width='{length:.1f}' height='{BAR}' fill='{colour}'/>")
        parts.append(text(LABELS + length + 8, y + BAR / 2 + 4, words))
    return page(TOP + len(rows) * (BAR + 10) + 16, parts)
