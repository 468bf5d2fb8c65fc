"""The table of keys and their limits: bars side by side where the terminal is wide enough, else stacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from ..render import Bar, duration, plain_table, short_amount
from .health import outage

__all__ = ["keys_table", "limit_title"]

Snapshot = Mapping[str, Any]
Column = tuple[str, int]
"""A resource as a snapshot names it, and its tick."""

WIDEST_BAR = 16
NARROWEST_BAR = 5
STACKED_BAR = 8
NARROW = 40
LONGEST_ACCOUNT = 20
GAP = 2
RESOURCES = ("requests", "input_tokens", "output_tokens", "tokens")


@dataclass(frozen=True, slots=True)
class Row:
    """A key in one lane of one of its accounts; empty where the row above says the same."""

    key: str
    account: str
    in_flight: str
    state: str
    buckets: Mapping[Column, Snapshot]
    note: str = ""


def keys_table(pool: Snapshot, width: int) -> Table:
    """Keys in their order, with state and levels of their limits, in at most `width` columns."""
    rows, columns = list(_rows(pool)), _columns(pool)
    bar_width = _bar_width(rows, columns, width)
    if bar_width >= NARROWEST_BAR:
        return _side_by_side(rows, columns, bar_width)
    if _stacked_width(rows, columns) <= width:
        return _stacked(rows, columns)
    return _listed(rows, columns, width)


def _columns(pool: Snapshot) -> list[Column]:
    """The resources that any lane of the keys' accounts limits, minutes before days."""
    owners = {name for key in pool["keys"].values() for name in key["domains"]}
    found = {
        (bucket["resource"], bucket["tick_ms"])
        for name, domain in pool["domains"].items()
        if name in owners
        for buckets in domain["lanes"].values()
        for bucket in buckets
    }
    return sorted(found, key=lambda column: (column[1], RESOURCES.index(column[0].partition("_per_")[0])))


def limit_title(resource: str) -> str:
    """`requests/min`, `input/min`, `tokens/day`."""
    return resource.replace("_tokens_per_", "/").replace("_per_", "/").replace("minute", "min")


def _title(column: Column) -> str:
    return limit_title(column[0])


def _rows(pool: Snapshot) -> Iterator[Row]:
    shown: set[str] = set()
    for key_id, key in pool["keys"].items():
        first, state = key_id, _state(key, pool)
        for name in key["domains"]:
            account, domain = "" if name == key_id else name, pool["domains"].get(name)
            if domain is None or name in shown:
                yield Row(first, account, "", state, {}, "as above" if name in shown else "limits not known")
            else:
                shown.add(name)
                yield from _lane_rows((first, account, state), domain)
            first, state = "", ""


def _lane_rows(names: tuple[str, str, str], domain: Snapshot) -> Iterator[Row]:
    key, account, state = names
    slots = f" / {domain['concurrency']}" if domain["concurrency"] else ""
    for lane, buckets in sorted(domain["lanes"].items()):
        by_column = {(bucket["resource"], bucket["tick_ms"]): bucket for bucket in buckets}
        if lane == "*":
            yield Row(key, account, f"{domain['in_flight']}{slots}", state, by_column)
        else:
            yield Row("", f"└ {lane}", "", "", by_column)


def _state(key: Snapshot, pool: Snapshot) -> str:
    if outage(key):
        return f"out {duration(key['out_ms'] / 1000)}" if "out_ms" in key else "out"
    paused_ms = max([pool["domains"].get(name, {}).get("paused_ms", 0) for name in key["domains"]], default=0)
    return f"paused {duration(paused_ms / 1000)}" if paused_ms > 0 else "ok"


def _label(bucket: Snapshot) -> str:
    held = f" h{short_amount(bucket['held'])}" if bucket["held"] > 0 else ""
    return f"{short_amount(bucket['level'])}/{short_amount(bucket['capacity'])}{held}"


def _bar_width(rows: Sequence[Row], columns: Sequence[Column], width: int) -> int:
    """Cells per bar when all columns stand side by side, beside their numbers."""
    titles = ("key", "account", "in flight", "state")
    texts = [(row.key, row.account[:LONGEST_ACCOUNT], row.in_flight, row.state) for row in rows]
    room = width - sum(GAP + max(len(cells[i]) for cells in [titles, *texts]) for i in range(len(titles)))
    labels = [len(_label(bucket)) for row in rows for bucket in row.buckets.values()]
    return min(WIDEST_BAR, room // max(1, len(columns)) - GAP - 1 - max(labels, default=0))


def _bar(bucket: Snapshot, width: int) -> Bar:
    level, capacity = max(0, bucket["level"]), max(1, bucket["capacity"])
    held = min(bucket["held"], level)
    return Bar((level - held) / capacity, held / capacity, width, _label(bucket))


def _styled(state: str) -> Text:
    return Text(state, "green" if state == "ok" else "red")


def _side_by_side(rows: Sequence[Row], columns: Sequence[Column], bar_width: int) -> Table:
    table = plain_table("key", "account", "in flight", *map(_title, columns), "state", right=["in flight"])
    table.columns[1].max_width = LONGEST_ACCOUNT
    for row in rows:
        cells: list[Bar | Text | str] = [
            _bar(row.buckets[column], bar_width) if column in row.buckets else "" for column in columns
        ]
        if row.note:
            cells[:1] = [Text(row.note, "dim")] if cells else []
        table.add_row(row.key, row.account, row.in_flight, *cells, _styled(row.state))
    return table


def _lines(row: Row, columns: Sequence[Column], bar_width: int) -> list[tuple[str, Bar | str]]:
    """A line per limit: its title and its level."""
    limits = [column for column in columns if column in row.buckets]
    lines: list[tuple[str, Bar | str]] = [
        (_title(column), _bar(row.buckets[column], bar_width)) for column in limits
    ]
    return [*lines, ("in flight", row.in_flight)] if row.in_flight else lines


def _stacked_width(rows: Sequence[Row], columns: Sequence[Column]) -> int:
    widest = [0, 0, len("in flight"), 0, 0]
    for row in rows:
        labels = [STACKED_BAR + 1 + len(_label(bucket)) for bucket in row.buckets.values()]
        lengths = (
            len(row.key),
            min(LONGEST_ACCOUNT, len(row.account)),
            0,
            max(labels, default=0),
            len(row.state),
        )
        widest = [max(pair) for pair in zip(widest, lengths, strict=True)]
    widest[2] = max([widest[2], *(len(_title(column)) for column in columns)])
    return sum(widest) + GAP * len(widest)


def _stacked(rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    """A line per limit beside its key."""
    table = plain_table("key", "account", "limit", "level", "state")
    table.columns[0].min_width = max((len(row.key) for row in rows), default=0)
    table.columns[1].max_width = LONGEST_ACCOUNT
    for row in rows:
        names = (row.key, row.account, _styled(row.state))
        for limit, level in _lines(row, columns, STACKED_BAR) or [(row.note, "")]:
            table.add_row(*names[:2], limit, level, names[2])
            names = ("", "", Text(""))
    return table


def _listed(rows: Sequence[Row], columns: Sequence[Column], width: int) -> Table:
    """A line per key, and its limits below: for narrow terminals."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(overflow="fold")
    bar_width = STACKED_BAR if width >= NARROW else 0
    for row in rows:
        names = (part for part in (row.key, row.account, row.note) if part)
        table.add_row(Text.assemble(("  ".join(names), "bold"), "  ", _styled(row.state)))
        if lines := _lines(row, columns, bar_width):
            limits = plain_table("", "")
            limits.show_header = False
            for limit, level in lines:
                limits.add_row(f"  {limit}", level)
            table.add_row(limits)
    return table
