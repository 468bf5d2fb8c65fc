"""What every command prints with: consoles, bars, amounts, durations. Knows no command and no fleet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

__all__ = [
    "Bar",
    "amount",
    "count_of",
    "duration",
    "one_line",
    "open_console",
    "plain_table",
    "print_json",
    "printable",
    "sentences",
    "short_amount",
    "some_of",
]

WIDE = 1000
"""Columns of an output that is no terminal: no sentence is wrapped there."""


def open_console(*, stderr: bool = False) -> Console:
    """A console that colours only terminals, and none of them where NO_COLOR is set.

    Brackets and colons of names are shown as they are, not taken for rich's markup.
    """
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=WIDE)
    return console


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """`value` as JSON on stdout, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")
    sys.stdout.flush()


def plain_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table without lines, close enough for 80 columns; numbers in the columns named by `right`."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in columns:
        is_right = column in set(right)
        table.add_column(column, justify="right" if is_right else "left", no_wrap=True, overflow="ellipsis")
    return table


def sentences(texts: Iterable[str], *, style: str = "") -> Table:
    """One under the other; where a sentence is broken, the rest of it is indented."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for text in texts:
        table.add_row("-", Text(text, style))
    return table


def one_line(error: BaseException) -> str:
    """What an error says, whatever it holds, in one line."""
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """Text of somebody else: what could command a terminal is shown as `?`."""
    return "".join(
        char if (char >= " " and not "\x7f" <= char <= "\x9f") or char in "\n\t" else "?" for char in text
    )


def amount(number: float) -> str:
    """12,300."""
    return f"{round(number):,}"


def count_of(number: int, thing: str) -> str:
    """1 key, 2 keys, 1,000 processes."""
    return f"{number:,} {thing}" + ("" if number == 1 else "es" if thing.endswith("s") else "s")


def short_amount(number: float) -> str:
    """At most five characters: 950, 12.3k, 410k, 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            scaled = number / size
            digits = 0 if abs(scaled) >= 99.95 else 1
            return f"{scaled:.{digits}f}".removesuffix(".0") + letter
    return f"{round(number)}"


def duration(seconds: float) -> str:
    """40 ms, 0.4 s, 12.3 s, 75 s, 5 min, 2.5 h, 3 d."""
    if 0 < seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{max(0.0, seconds):.1f}".removesuffix(".0") + " s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    for size, unit in ((86_400, "d"), (3600, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds / 60:.0f} min"


def some_of(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    all_names = list(names)
    if len(all_names) <= most + 1:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:most])} and {len(all_names) - most} more"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of `width` cells: `share` of it full, then `held` of it taken but not used up; then a label."""

    share: float
    held: float = 0.0
    width: int = 10
    label: str = ""
    style: str = "green"

    def cells(self) -> tuple[int, int, int]:
        """Full, held and empty cells; of whatever is not nothing, one cell is shown where there is room."""
        full, until = _cells(self.share, self.width), _cells(self.share + self.held, self.width)
        if self.held > 0 and until == full and self.width > 1:
            full, until = (full - 1, until) if full else (0, 1)
        return full, until - full, self.width - until

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        marks = "#=." if options.ascii_only else "█▒░"
        for mark, count, style in zip(marks, self.cells(), (self.style, "yellow", "dim"), strict=True):
            if count:
                yield Segment(mark * count, Style.parse(style))
        yield Segment(self._tail())
        yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width + len(self._tail()), self.width + len(self._tail()))

    def _tail(self) -> str:
        return f" {self.label}" if self.label and self.width else self.label


def _cells(share: float, width: int) -> int:
    share = min(1.0, max(0.0, share))
    cells = round(share * width)
    return max(1, cells) if share > 0 and width else cells
