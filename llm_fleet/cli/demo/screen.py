"""The demo while it runs: bars on a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..render import Bar, amount, count_of, plain_table, short_amount
from .report import use_of
from .scenario import TASKS, account_keys
from .show import Scene
from .tables import fitting
from .workers import Worker

__all__ = ["LiveScreen", "PlainLines", "view_of"]

PLAIN_EVERY_S = 2.0
WHILE = "from_first_to_last_accepted"


class PlainLines:
    """A line now and then, for logs."""

    def __init__(self, console: Console) -> None:
        self._console, self._due_s = console, PLAIN_EVERY_S

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""

    def show(self, scene: Scene) -> None:
        if scene.elapsed_s >= self._due_s:
            self._due_s += PLAIN_EVERY_S
            self._console.print(f"{scene.elapsed_s:5.1f} s  {_summary(scene)}")


class LiveScreen:
    """Bars that move."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveScreen:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, scene: Scene) -> None:
        self._live.update(view_of(scene, self._console), refresh=True)


def _summary(scene: Scene) -> str:
    accounts, live = scene.books["accounts"], sum(not worker.is_killed for worker in scene.workers)
    return (
        f"{sum(account['accepted'] for account in accounts.values())} requests accepted,"
        f" {use_of(accounts, WHILE):.0%} of what is permitted,"
        f" {sum(account['rejected'] for account in accounts.values())} 429s,"
        f" {scene.pool.get('waiting', 0)} waiting, {scene.pool.get('leases', 0)} in flight, {live} processes"
    )


def view_of(scene: Scene, console: Console) -> RenderableType:
    """One picture of the demo, as wide as the console permits."""
    elapsed_s = min(scene.elapsed_s, scene.seconds)
    label = f"{elapsed_s:.1f} of {scene.seconds:g} s"
    time_bar = Bar(
        elapsed_s / scene.seconds, 0, max(0, min(30, console.width - 1 - len(label))), label, "cyan"
    )
    keys = fitting(console, _keys(scene), _keys_briefly(scene))
    processes = fitting(console, _processes(scene), _processes(scene, is_narrow=True))
    return Group("", time_bar, Text(_summary(scene)), "", keys, "", processes, "", _news(scene))


def _keys(scene: Scene) -> Table:
    """Per key what the provider has seen of what it permits so far; the bar is requests."""
    table = plain_table("key", "requests", "input tokens", "output tokens", "in flight", "429s")
    for account, key_id in account_keys().items():
        page = scene.books["accounts"][account]
        shares = [f"{share:4.0%} of {short_amount(permitted)}" for share, permitted in _token_uses(page)]
        table.add_row(
            key_id, _requests_bar(page, 12, amount), *shares, str(page["in_flight"]), _rejected(page)
        )
    return table


def _keys_briefly(scene: Scene) -> Table:
    table = plain_table("key", "requests", "input", "output", "429s", right=["input", "output"])
    for account, key_id in account_keys().items():
        page = scene.books["accounts"][account]
        shares = [f"{share:.0%}" for share, _ in _token_uses(page)]
        table.add_row(key_id, _requests_bar(page, 5, short_amount), *shares, _rejected(page))
    return table


def _requests_bar(page: dict[str, Any], width: int, text: Callable[[float], str]) -> Bar:
    used, permitted = page["used"]["requests"], page["permitted"]["requests"][WHILE]
    return Bar(used / max(1, permitted), 0, width, f"{text(used)}/{text(permitted)}")


def _token_uses(page: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """What was used of the input and output tokens that were permitted, and how many those are."""
    for resource in ("input_tokens", "output_tokens"):
        permitted = page["permitted"][resource][WHILE]
        yield page["used"][resource] / max(1, permitted), permitted


def _rejected(page: dict[str, Any]) -> Text:
    return Text(str(page["rejected"]), "red" if page["rejected"] else "green")


def _processes(scene: Scene, *, is_narrow: bool = False) -> Table:
    facts = () if is_narrow else ("pid",)
    table = plain_table("process", *facts, "served", "in flight", "waiting", "", right=["pid", "served"])
    for worker in scene.workers:
        known = scene.record_of(worker)
        queued = known.get("queued", 0)
        waiting = Bar(queued / TASKS, 0, 10, str(queued), "blue")
        numbers = (worker.number, *((worker.pid,) if facts else ()), worker.served, known.get("leases", 0))
        table.add_row(*map(str, numbers), waiting, _state(worker))
    return table


def _state(worker: Worker) -> Text:
    if worker.is_killed:
        return Text("killed", "bold red")
    return Text("done" if worker.done.is_set() else "live", "green")


def _news(scene: Scene) -> Text:
    kill = scene.kill
    if kill is None:
        return Text("")
    back = "not yet back" if kill.slots_back_s is None else f"back after {kill.slots_back_s:.1f} s"
    return Text(
        f"kill -9 of process {kill.worker.number}: it held {count_of(kill.leases, 'lease')}, {back}", "yellow"
    )
